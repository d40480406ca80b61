/**
 * Checks an expression against the grammar of PromQL and the catalogue: names, labels, their values, groupings, joins,
 * and that counters are only read as rates. It follows the labels through the expression, so that a legend or an
 * alert's text can be compared with the labels of the result.
 */
import type { SyntaxNode } from '@lezer/common';
import { parser } from '@prometheus-io/lezer-promql';
import { LABELS, METRICS } from '#contracts/metrics.ts';
import { labelsOf, TARGET_LABELS } from '../promql.ts';

export interface ExpressionVerdict {
  /** One sentence for each fault. */
  readonly faults: readonly string[];
  /** The names of the series it reads. */
  readonly names: ReadonlySet<string>;
  /** The labels that its result can have. */
  readonly labels: ReadonlySet<string>;
}

/** null: a number, which has no labels to match. */
type Labels = ReadonlySet<string> | null;

const AS_RATE = new Set(['rate', 'increase', 'irate', 'resets']);
const TAKES_LABELS_AWAY = new Set(['time', 'vector', 'scalar', 'pi']);
const KEEPS_SERIES = new Set(['topk', 'bottomk', 'limitk', 'limit_ratio']);
const SETS = new Set(['And', 'Or', 'Unless']);
const OPERATORS = new Set([
  ...['Pow', 'Mul', 'Div', 'Mod', 'Add', 'Sub', 'Eql', 'Gte', 'Gtr', 'Lte', 'Lss', 'Neq', 'Atan2'],
  ...SETS,
]);
const WRAPPERS = new Set([
  'ParenExpr',
  'OffsetExpr',
  'MatrixSelector',
  'SubqueryExpr',
  'UnaryExpr',
  'StepInvariantExpr',
]);
const EXPRESSIONS = new Set([
  ...WRAPPERS,
  'AggregateExpr',
  'BinaryExpr',
  'FunctionCall',
  'VectorSelector',
  'NumberDurationLiteral',
  'StringLiteral',
]);

export function judge(expr: string): ExpressionVerdict {
  const faults: string[] = [];
  const names = new Set<string>();
  const text = (node: SyntaxNode) => expr.slice(node.from, node.to);
  const expressionsOf = (node: SyntaxNode) => children(node).filter(({ name }) => EXPRESSIONS.has(name));
  const groupingOf = (node: SyntaxNode): string[] =>
    children(node)
      .filter(({ name }) => name === 'LabelName')
      .map(text);

  const tree = parser.parse(expr);
  tree.iterate({
    enter: ({ type, from, to }) => {
      if (type.isError) faults.push(`no PromQL at character ${from + 1}: …${expr.slice(from, to + 12)}`);
    },
  });
  if (faults.length > 0) return { faults, names, labels: new Set() };
  return { faults, names, labels: follow(expressionsOf(tree.topNode)[0]!, null) ?? new Set() };

  /** @param caller the function whose argument this is, when it is one */
  function follow(node: SyntaxNode, caller: string | null): Labels {
    switch (node.name) {
      case 'NumberDurationLiteral':
      case 'StringLiteral':
        return null;
      case 'VectorSelector':
        return selector(node, caller);
      case 'AggregateExpr':
        return aggregate(node);
      case 'FunctionCall':
        return call(node);
      case 'BinaryExpr':
        return binary(node);
      default:
        if (!WRAPPERS.has(node.name)) faults.push(`${node.name} is not known to the gate: ${text(node)}`);
        return follow(expressionsOf(node)[0]!, caller);
    }
  }

  function selector(node: SyntaxNode, caller: string | null): Labels {
    const identifier = node.getChild('Identifier');
    if (!identifier) {
      faults.push(`${text(node)} names no series`);
      return new Set();
    }
    const name = text(identifier);
    names.add(name);
    const own = labelsOf(name);
    if (own === null) {
      faults.push(`${name} is not in the catalogue`);
      return new Set(TARGET_LABELS);
    }
    if (isCounter(name) && !AS_RATE.has(caller ?? '')) {
      faults.push(`${name} only ever grows: read it as a rate or an increase`);
    }
    if (!isCounter(name) && AS_RATE.has(caller ?? ''))
      faults.push(`${name} is no counter: ${caller} means nothing`);
    const labels = new Set(own);
    for (const matcher of node.getChild('LabelMatchers')?.getChildren('UnquotedLabelMatcher') ?? []) {
      const label = text(matcher.getChild('LabelName')!);
      if (!labels.has(label)) faults.push(`${name} has no label ${label}`);
      for (const value of unknownValues(label, matcher)) {
        faults.push(`${label} is never ${value}: ${text(matcher)}`);
      }
    }
    return labels;
  }

  function unknownValues(label: string, matcher: SyntaxNode): string[] {
    const known = (LABELS as Readonly<Record<string, { values?: readonly string[] }>>)[label]?.values;
    if (!known) return [];
    const value = JSON.parse(text(matcher.getChild('StringLiteral')!)) as string;
    const isPattern = text(matcher.getChild('MatchOp')!).endsWith('~');
    const alternatives = isPattern ? value.split('|') : [value];
    return alternatives.filter((one) => !/[.*+?[(]/.test(one) && !known.includes(one));
  }

  function aggregate(node: SyntaxNode): Labels {
    const parameters = expressionsOf(node.getChild('FunctionCallBody')!);
    const operator = text(node.getChild('AggregateOp')!).toLowerCase();
    const inner = follow(parameters.at(-1)!, operator) ?? new Set<string>();
    const modifier = node.getChild('AggregateModifier');
    const grouping = modifier ? groupingOf(modifier.getChild('GroupingLabels')!) : [];
    for (const label of grouping) {
      if (!inner.has(label)) faults.push(`nothing to group by ${label} in ${text(node)}`);
    }
    if (KEEPS_SERIES.has(operator)) return inner;
    if (modifier?.getChild('Without'))
      return new Set([...inner].filter((label) => !grouping.includes(label)));
    return new Set(grouping);
  }

  function call(node: SyntaxNode): Labels {
    const fn = text(node.getChild('FunctionIdentifier')!);
    const given = expressionsOf(node.getChild('FunctionCallBody')!).map((one) => follow(one, fn));
    const inner = given.find((labels) => labels !== null) ?? null;
    if (TAKES_LABELS_AWAY.has(fn)) return fn === 'vector' ? new Set() : null;
    if (fn.startsWith('label_')) faults.push(`${fn} is not known to the gate`);
    if (fn !== 'histogram_quantile') return inner;
    if (!inner?.has('le')) faults.push(`a quantile needs the label le: ${text(node)}`);
    return new Set([...(inner ?? [])].filter((label) => label !== 'le'));
  }

  function binary(node: SyntaxNode): Labels {
    const [leftNode, rightNode] = expressionsOf(node) as [SyntaxNode, SyntaxNode];
    const left = follow(leftNode, null);
    const right = follow(rightNode, null);
    if (left === null || right === null) return left ?? right;
    const operator = children(node).find(({ name }) => OPERATORS.has(name))!.name;
    const matching = node.getChild('MatchingModifierClause');
    if (!matching) {
      // `or` adds what is missing on the left side; only there may the sides have different labels.
      if (operator !== 'Or' && !same(left, right)) {
        faults.push(
          `the sides of ${operator} never match: {${[...left].sort()}} and {${[...right].sort()}} in ${text(node)}`,
        );
      }
      return operator === 'Or' ? new Set([...left, ...right]) : left;
    }
    const [on, include] = matching.getChildren('GroupingLabels').map(groupingOf) as [string[], string[]?];
    if (matching.getChild('Ignoring'))
      faults.push('say which labels match, by on: what others a side has may change');
    for (const label of on) {
      for (const [side, labels] of [
        ['left', left],
        ['right', right],
      ] as const) {
        if (!labels.has(label))
          faults.push(`the ${side} side has no label ${label} to match by in ${text(node)}`);
      }
    }
    for (const label of include ?? []) {
      if (!right.has(label))
        faults.push(`the right side has no label ${label} to take over in ${text(node)}`);
    }
    if (operator === 'Or') return new Set([...left, ...right]);
    if (SETS.has(operator)) return left;
    return matching.getChild('GroupLeft') ? new Set([...left, ...(include ?? [])]) : new Set(on);
  }
}

function children(node: SyntaxNode): SyntaxNode[] {
  const found: SyntaxNode[] = [];
  for (let child = node.firstChild; child; child = child.nextSibling) found.push(child);
  return found;
}

const same = (one: ReadonlySet<string>, other: ReadonlySet<string>) =>
  one.size === other.size && [...one].every((label) => other.has(label));

function isCounter(name: string): boolean {
  const catalogue: Readonly<Record<string, { type: string }>> = METRICS;
  if (Object.hasOwn(catalogue, name)) return catalogue[name]!.type === 'counter';
  return name === 'process_cpu_seconds_total' || /^topclients_\w+_(bucket|sum|count)$/.test(name);
}
