/** Finds the tables that the SQL in a source text names. */
import ts from 'typescript';

export interface NamedTable {
  readonly table: string;
  readonly line: number;
}

/** Replaces an expression inside a text. */
const HOLE = 'hole';

interface Literal {
  readonly text: string;
  readonly line: number;
}

/** The strings and templates of a program; those joined by `+` count as one. */
function literalsIn(source: ts.SourceFile): Literal[] {
  const found: Literal[] = [];
  const visit = (node: ts.Node): void => {
    if (!isLiteral(node)) {
      ts.forEachChild(node, visit);
      return;
    }
    const line = source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1;
    const inner: ts.Expression[] = [];
    found.push({ text: textOf(node, inner), line });
    for (const expression of inner) visit(expression);
  };
  visit(source);
  return found;
}

type LiteralNode = ts.StringLiteralLike | ts.TemplateExpression | ts.BinaryExpression;

const isLiteral = (node: ts.Node): node is LiteralNode =>
  ts.isStringLiteralLike(node) ||
  ts.isTemplateExpression(node) ||
  (ts.isBinaryExpression(node) &&
    node.operatorToken.kind === ts.SyntaxKind.PlusToken &&
    (isLiteral(node.left) || isLiteral(node.right)));

/** @param inner receives the expressions that were replaced by holes */
function textOf(node: ts.Expression, inner: ts.Expression[]): string {
  if (ts.isStringLiteralLike(node)) return node.text;
  if (ts.isTemplateExpression(node)) {
    const spans = node.templateSpans.map(
      ({ expression, literal }) => textOf(expression, inner) + literal.text,
    );
    return node.head.text + spans.join('');
  }
  if (ts.isBinaryExpression(node) && isLiteral(node)) {
    return textOf(node.left, inner) + textOf(node.right, inner);
  }
  inner.push(node);
  return HOLE;
}

const STATEMENT =
  /^\(*\s*(select\b|with\s+(recursive\s+)?[\w"]+\s*(\([^)]*\)\s*)?as\b|insert\s+into\b|update\s+(only\s+)?[\w".]+\s+((as\s+)?[\w"]+\s+)?set\b|delete\s+from\b|merge\s+into\b|truncate\b|lock\b|copy\b|create\b|alter\b|drop\b|grant\b|revoke\b|comment\s+on\b|vacuum\b|analyze\b|reindex\b|cluster\b|explain\b|declare\b|table\b)/i;
/** A part of a statement that is composed elsewhere. */
const FRAGMENT =
  /^\(*\s*(from|((left|right|full|inner|cross)\s+(outer\s+)?)?join|where|and|using|into|(not\s+)?exists)\b/i;
const IS_SQL =
  /\$\d|\bwhere\b[\s\S]*([=<>]|\bis\b|\bin\b)|\bjoin\b[\s\S]*\b(on|using)\b|\border by\b|\blimit\b|\breturning\b/i;

const TOKEN = /--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$\w*\$|[a-z_][\w$]*|\d+|::|[^\s]/gi;

/** A table's name follows these words; with `true`, also after a comma. */
const BEFORE_TABLES = new Map([
  ['from', true],
  ['join', true],
  ['using', true],
  ['table', true],
  ['truncate', true],
  ['lock', true],
  ['vacuum', true],
  ['analyze', true],
  ['into', false],
  ['update', false],
  ['copy', false],
  ['references', false],
  ['reindex', false],
  ['cluster', false],
]);
/** Those of them whose options come in brackets before the name. */
const HAS_OPTIONS = new Set(['vacuum', 'analyze', 'reindex', 'cluster']);
/** Words that may come between such a word and the name. */
const BETWEEN = new Set([
  'only',
  'lateral',
  'table',
  'column',
  'if',
  'not',
  'exists',
  'concurrently',
  'full',
]);
/** Words that end a list of tables. */
const AFTER_TABLES = new Set(
  'where group order having limit offset fetch for union intersect except set returning values select window when in with'.split(
    ' ',
  ),
);
/** In these statements a table comes after `on`. */
const NAME_AFTER_ON = new Set(['create', 'grant', 'revoke', 'comment', 'alter', 'drop']);
/** Functions that take a table's name as a text. */
const BY_NAME = /^(to_regclass|nextval|setval|currval|pg_\w+|has_\w+_privilege)$/;

interface Found {
  readonly name: string;
  readonly at: number;
}

/** Every name in the place of a table's name, in a statement or a part of one. */
function namesIn(sql: string): Found[] {
  const found: Found[] = [];
  const tokens = [...sql.matchAll(TOKEN)]
    .map(({ 0: text, index: at }) => ({ text: text.toLowerCase(), at }))
    .filter(({ text }) => !text.startsWith('--') && !text.startsWith('/*'));
  const verb = tokens.find(({ text }) => text !== '(')?.text ?? '';
  const begin = { inList: false, takesNames: false, isOptions: false };
  const outer: (typeof begin)[] = [];
  let here = begin;
  let isNext = false;
  for (let i = 0; i < tokens.length; i++) {
    const { text, at } = tokens[i]!;
    const before = tokens[i - 1]?.text ?? '';
    const list = BEFORE_TABLES.get(text);
    if (text === '(') {
      outer.push(here);
      const isOptions = isNext && HAS_OPTIONS.has(before);
      here = { inList: isNext && !isOptions, takesNames: BY_NAME.test(before), isOptions };
    } else if (text === ')') {
      isNext = here.isOptions;
      here = outer.pop() ?? begin;
    } else if (text === ',') {
      isNext = here.inList;
    } else if (text.startsWith("'")) {
      const isClass = tokens[i + 1]?.text === '::' && tokens[i + 2]?.text === 'regclass';
      if (isClass || here.takesNames) found.push({ name: lastOf(text.slice(1, -1)), at });
      isNext = false;
    } else if (isNext && BETWEEN.has(text)) {
      // The name still follows.
    } else if (list !== undefined) {
      here = { ...here, inList: list };
      isNext = true;
    } else if (
      (text === 'on' && outer.length === 0 && NAME_AFTER_ON.has(verb)) ||
      (text === 'like' && before === '(')
    ) {
      here = { ...here, inList: text === 'on' };
      isNext = true;
    } else if (AFTER_TABLES.has(text)) {
      here = { ...here, inList: false };
      isNext = false;
    } else if (isNext) {
      // Between an optional schema and an optional column.
      found.push({ name: bare(text), at });
      while (tokens[i + 1]?.text === '.' && tokens[i + 2] !== undefined) {
        i += 2;
        found.push({ name: bare(tokens[i]!.text), at: tokens[i]!.at });
      }
      isNext = false;
    }
  }
  return found;
}

const bare = (name: string): string => name.replaceAll('"', '');
const lastOf = (path: string): string => bare(path.split('.').at(-1) ?? '');

/** Where the SQL in a program names one of these tables. Text that does not look like SQL is skipped. */
export function tablesNamedIn(program: string, tables: ReadonlySet<string>): NamedTable[] {
  const source = ts.createSourceFile('program.ts', program, ts.ScriptTarget.Latest, false);
  return literalsIn(source).flatMap(({ text, line }) =>
    statementsIn(text).flatMap((statement) =>
      namesIn(statement.text)
        .filter(({ name }) => tables.has(name))
        .map(({ name, at }) => ({
          table: name,
          line: line + text.slice(0, statement.at + at).split('\n').length - 1,
        })),
    ),
  );
}

function statementsIn(text: string): { text: string; at: number }[] {
  let at = 0;
  return text.split(';').flatMap((part) => {
    const begins = part.replace(/^(\s|--[^\n]*\n|\/\*[\s\S]*?\*\/)+/, '');
    const statement = { text: part, at };
    at += part.length + 1;
    return STATEMENT.test(begins) || (FRAGMENT.test(begins) && IS_SQL.test(begins)) ? [statement] : [];
  });
}

/** The tables that exist after the migrations. */
export function tablesMadeBy(migrations: readonly string[]): Set<string> {
  const tables = new Set<string>();
  for (const migration of migrations) {
    const sql = migration.replaceAll(/--[^\n]*/g, '');
    for (const [, verb, name] of sql.matchAll(
      /\b(create|drop)\s+table\s+(?:if\s+(?:not\s+)?exists\s+)?"?(\w+)"?/gi,
    )) {
      if (verb!.toLowerCase() === 'create') tables.add(name!.toLowerCase());
      else tables.delete(name!.toLowerCase());
    }
  }
  return tables;
}
