import { z } from 'zod';
import type { Rule } from './shared.ts';

/** As much of a JSON schema as rules need: what there is, and what it is when nobody says. */
interface Schema {
  readonly type?: string;
  readonly default?: unknown;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly 'x-kubernetes-validations'?: readonly Rule[];
}

/**
 * The rules of a schema as a Helm template: `include` it with a dict of `spec` and `at`, the path of the value as its
 * author knows it, and read a JSON array of sentences, one for each broken rule. So `helm template` refuses with the
 * sentences of the API server. Rules on a change (`oldSelf`) have nothing to compare with there and are left out.
 * @throws Error when a rule uses CEL that cannot be said in a template
 */
export function rulesTemplate(name: string, schema: z.ZodType): string {
  const json = z.toJSONSchema(schema, { io: 'input', reused: 'inline', target: 'draft-07' }) as Schema;
  return [
    `{{- define "${name}" -}}`,
    '{{- $at := .at }}{{- $broken := list }}{{- $v := .spec }}',
    ...checks(json, '$v', []),
    '{{- toJson $broken -}}',
    '{{- end }}',
    '',
  ].join('\n');
}

/** The rule of one value, as a template's condition. @param variable the template's name for `self` */
export const conditionOf = (rule: string, schema: object, variable: string): string =>
  new Translation(rule, schema as Schema, variable).whole();

const judged = (schema: Schema) =>
  (schema['x-kubernetes-validations'] ?? []).filter(({ rule }) => !/\boldSelf\b/.test(rule));
const hasRules = (schema: Schema): boolean =>
  judged(schema).length > 0 ||
  [...Object.values(schema.properties ?? {}), ...(schema.items ? [schema.items] : [])].some(hasRules);

function checks(schema: Schema, variable: string, path: readonly string[]): string[] {
  const own = judged(schema).map(
    ({ rule, message }) =>
      `{{- if not ${conditionOf(rule, schema, variable)} }}` +
      `{{- $broken = append $broken (print $at ${path.map((step) => (step.startsWith('$') ? `"." ${step}` : quoted(`.${step}`))).join(' ')} ${quoted(`: ${message}`)}) }}{{- end }}`,
  );
  const below = Object.entries(schema.properties ?? {})
    .filter(([, member]) => hasRules(member))
    .flatMap(([name, member]) => {
      const inner = `${variable}_${name}`;
      const lines = [
        `{{- ${inner} := dig ${quoted(name)} (${member.items ? 'list' : 'dict'}) ${variable} }}`,
        ...(member.items
          ? [
              `{{- range ${inner}_i, ${inner}_one := ${inner} }}`,
              ...checks(member.items, `${inner}_one`, [...path, name, `${inner}_i`]),
              '{{- end }}',
            ]
          : checks(member, inner, [...path, name])),
      ];
      // What has no default is judged only where it is given.
      return member.default === undefined
        ? [`{{- if hasKey ${variable} ${quoted(name)} }}`, ...lines, '{{- end }}']
        : lines;
    });
  return [...own, ...below];
}

const quoted = (text: string) => JSON.stringify(text);

type Kind = 'boolean' | 'number' | 'text' | 'list';
interface Value {
  readonly code: string;
  readonly kind: Kind;
}
/** A value, or a place in the object whose value nobody has asked for yet. */
type Term = Value | { readonly path: readonly string[] };

const TOKEN = /\s*(?:(\d+)|'([^']*)'|"([^"]*)"|([A-Za-z_]\w*)|(&&|\|\||[=!<>]=|[-<>!?:()[\],.+*]))/y;
const COMPARISONS: Readonly<Record<string, string>> = {
  '==': 'eq',
  '!=': 'ne',
  '<=': 'le',
  '>=': 'ge',
  '<': 'lt',
  '>': 'gt',
};
const ARITHMETIC: Readonly<Record<string, string>> = { '+': 'addf', '-': 'subf', '*': 'mulf' };
/** Functions of a text: the template's function takes the argument first. */
const OF_TEXT: Readonly<Record<string, string>> = {
  startsWith: 'hasPrefix',
  endsWith: 'hasSuffix',
  contains: 'contains',
  matches: 'regexMatch',
};

/** Reads a rule by recursive descent, and writes each part as it is read. */
class Translation {
  private readonly tokens: string[] = [];
  private at = 0;
  private readonly rule: string;
  private readonly schema: Schema;
  private readonly variable: string;

  constructor(rule: string, schema: Schema, variable: string) {
    this.rule = rule;
    this.schema = schema;
    this.variable = variable;
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < rule.trimEnd().length) {
      const before = TOKEN.lastIndex;
      const found = TOKEN.exec(rule);
      if (!found) throw this.beyond(rule.slice(before));
      const [, , single, double] = found;
      const text = single ?? double;
      this.tokens.push(text === undefined ? found[0].trim() : `'${text}`);
    }
  }

  whole(): string {
    const { code } = this.expect(this.choice(), 'boolean');
    if (this.at < this.tokens.length) throw this.beyond(this.tokens[this.at]!);
    return code;
  }

  private choice(): Value {
    const condition = this.either();
    if (!this.take('?')) return condition;
    const [yes, no] = [this.either(), this.take(':') && this.choice()];
    if (!no) throw this.beyond('?');
    const { code } = this.expect(condition, 'boolean');
    const [a, b] = [yes.code, this.expect(no, yes.kind).code];
    if (yes.kind !== 'boolean') return { kind: yes.kind, code: `(ternary ${a} ${b} (not (not ${code})))` };
    // A function would evaluate both; and, or stop where they can.
    return { kind: 'boolean', code: `(or (and ${code} ${a}) (and (not ${code}) ${b}))` };
  }

  private either(): Value {
    return this.chain('||', 'or', () => this.chain('&&', 'and', () => this.comparison()));
  }

  private chain(operator: string, name: string, next: () => Value): Value {
    const parts = [next()];
    while (this.take(operator)) parts.push(next());
    if (parts.length === 1) return parts[0]!;
    const codes = parts.map((part) => this.expect(part, 'boolean').code);
    return { kind: 'boolean', code: `(${name} ${codes.join(' ')})` };
  }

  private comparison(): Value {
    const left = this.sum();
    if (this.take('in')) return { kind: 'boolean', code: `(has ${left.code} ${this.sum().code})` };
    const operator = Object.keys(COMPARISONS).find((one) => this.take(one));
    if (!operator) return left;
    const right = this.expect(this.sum(), left.kind);
    // What is true in a template need not be `true`.
    const sides = [left, right].map(({ kind, code }) => (kind === 'boolean' ? `(not ${code})` : code));
    return { kind: 'boolean', code: `(${COMPARISONS[operator]} ${sides.join(' ')})` };
  }

  private sum(): Value {
    let left = this.unary();
    for (;;) {
      const operator = Object.keys(ARITHMETIC).find((one) => this.take(one));
      if (!operator) return left;
      const right = this.expect(this.unary(), 'number');
      left = { kind: 'number', code: `(${ARITHMETIC[operator]} ${left.code} ${right.code})` };
    }
  }

  private unary(): Value {
    if (this.take('!')) {
      return { kind: 'boolean', code: `(not ${this.expect(this.unary(), 'boolean').code})` };
    }
    return this.valueOf(this.postfix());
  }

  private postfix(): Term {
    let term = this.primary();
    while (this.take('.')) {
      const name = this.next();
      if (!this.take('(')) {
        if (!('path' in term)) throw this.beyond(`.${name}`);
        term = { path: [...term.path, name] };
        continue;
      }
      const self = this.valueOf(term);
      const argument = this.choice();
      this.must(')');
      if (name === 'compareTo') term = { kind: 'number', code: `(subf ${self.code} ${argument.code})` };
      else if (OF_TEXT[name])
        term = { kind: 'boolean', code: `(${OF_TEXT[name]} ${argument.code} ${self.code})` };
      else throw this.beyond(`${name}()`);
    }
    return term;
  }

  private primary(): Term {
    const token = this.next();
    if (token === '(') {
      const inside = this.choice();
      this.must(')');
      return inside;
    }
    if (token === '[') return this.list();
    if (/^\d/.test(token)) return { kind: 'number', code: `${token}.0` };
    if (token.startsWith("'")) return { kind: 'text', code: quoted(token.slice(1)) };
    if (token === 'true' || token === 'false') return { kind: 'boolean', code: token };
    if (token === 'self') return { path: [] };
    if (this.take('(')) {
      const argument = this.postfix();
      this.must(')');
      return this.call(token, argument);
    }
    throw this.beyond(token);
  }

  private list(): Value {
    const members: string[] = [];
    while (!this.take(']')) {
      members.push(this.unary().code);
      this.take(',');
    }
    return { kind: 'list', code: `(list ${members.join(' ')})` };
  }

  private call(name: string, argument: Term): Value {
    if (name === 'has' && 'path' in argument) return { kind: 'boolean', code: this.presence(argument.path) };
    const value = this.valueOf(argument);
    switch (name) {
      case 'string':
        return { ...value, kind: 'text' };
      case 'size':
        return { kind: 'number', code: `(len ${value.code} | float64)` };
      case 'quantity':
        return { kind: 'number', code: `(include "top-clients.amount" ${value.code} | float64)` };
      default:
        throw this.beyond(`${name}()`);
    }
  }

  private presence(path: readonly string[]): string {
    const [last, ...before] = [...path].reverse();
    if (last === undefined) throw this.beyond('has(self)');
    // What has a default is always there for the API server.
    if (this.schemaAt(path)?.default !== undefined) return 'true';
    const parents = before.reverse();
    const parent =
      parents.length > 0 ? `(dig ${parents.map(quoted).join(' ')} (dict) ${this.variable})` : this.variable;
    return `(hasKey ${parent} ${quoted(last)})`;
  }

  private valueOf(term: Term): Value {
    if (!('path' in term)) return term;
    const { path } = term;
    const schema = this.schemaAt(path);
    const type = schema?.type ?? 'string';
    const code = `(dig ${path.map(quoted).join(' ')} ${literal(schema)} ${this.variable})`;
    switch (type) {
      case 'integer':
      case 'number':
        return { kind: 'number', code: `(float64 ${code})` };
      case 'boolean':
        return { kind: 'boolean', code };
      case 'array':
      case 'object':
        return { kind: 'list', code };
      default:
        return { kind: 'text', code };
    }
  }

  private schemaAt(path: readonly string[]): Schema | undefined {
    return path.reduce<Schema | undefined>((schema, step) => schema?.properties?.[step], this.schema);
  }

  private expect(value: Value, kind: Kind): Value {
    if (value.kind !== kind) throw this.beyond(`${value.code}, which is no ${kind},`);
    return value;
  }

  private next(): string {
    const token = this.tokens[this.at];
    if (token === undefined) throw this.beyond('the end');
    this.at += 1;
    return token;
  }
  private take(token: string): boolean {
    if (this.tokens[this.at] !== token) return false;
    this.at += 1;
    return true;
  }
  private must(token: string): void {
    if (!this.take(token)) throw this.beyond(`what is not closed by ${token}`);
  }
  private beyond(what: string): Error {
    return new Error(`${what} cannot be said in a template, in the rule: ${this.rule}`);
  }
}

/** What a template takes for a value that is not given. */
function literal(schema: Schema | undefined): string {
  const { type, default: otherwise } = schema ?? {};
  if (type === 'array')
    return `(list ${((otherwise as unknown[] | undefined) ?? []).map((one) => JSON.stringify(one)).join(' ')})`;
  if (type === 'object') return '(dict)';
  if (typeof otherwise === 'string') return quoted(otherwise);
  if (typeof otherwise === 'number' || typeof otherwise === 'boolean') return String(otherwise);
  return '""';
}

const FACTORS = [
  ['', 1],
  ['m', 1e-3],
  ['k', 1e3],
  ['Ki', 2 ** 10],
  ['M', 1e6],
  ['Mi', 2 ** 20],
  ['G', 1e9],
  ['Gi', 2 ** 30],
  ['T', 1e12],
  ['Ti', 2 ** 40],
] as const;

/** A quantity as a number, which `include` gives as text. */
export const AMOUNT_TEMPLATE = `{{- define "top-clients.amount" -}}
{{- $text := kindIs "string" . | ternary . (. | int64 | toString) }}
{{- $unit := regexFind "[A-Za-z]*$" $text }}
{{- mulf (trimSuffix $unit $text | float64) (get (dict ${FACTORS.map(([unit, factor]) => `"${unit}" ${factor}`).join(' ')}) $unit | float64) -}}
{{- end }}
`;
