/**
 * No import has a side effect: the top level of a module only declares, and the entry point starts the work. First
 * proves that each kind of side effect is detected. `npm run boundaries`
 */
import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** Files that are started, never imported. */
const ENTRY_POINTS =
  /^(services\/main|services\/demo\/main|cdk8s\/main|generate\/main|services\/demo\/lab\/assets\/.+|services\/seller-portal\/client)\.[jt]s$/;

/** The lines of the top level that have a side effect. */
function deedsIn(program: string): number[] {
  const file = ts.createSourceFile('x.ts', program, ts.ScriptTarget.Latest, true);
  const isDeclaration = (statement: ts.Statement): boolean =>
    ts.isImportDeclaration(statement) ||
    ts.isExportDeclaration(statement) ||
    ts.isExportAssignment(statement) ||
    ts.isFunctionDeclaration(statement) ||
    ts.isClassDeclaration(statement) ||
    ts.isInterfaceDeclaration(statement) ||
    ts.isTypeAliasDeclaration(statement) ||
    ts.isModuleDeclaration(statement) ||
    (ts.isVariableStatement(statement) && !awaits(statement));
  return file.statements
    .filter((one) => !isDeclaration(one))
    .map((one) => file.getLineAndCharacterOfPosition(one.getStart()).line + 1);
}

function awaits(node: ts.Node): boolean {
  if (ts.isAwaitExpression(node)) return true;
  if (ts.isFunctionLike(node)) return false;
  return ts.forEachChild(node, awaits) ?? false;
}

const PLANTED = [
  'register();',
  "import './register.ts';\nregister();",
  'if (process.env) register();',
  'const pool = await open();',
  'for (const one of all) register(one);',
  'process.exitCode = 1;',
];
const HARMLESS = [
  'const SCHEMA = z.object({});\nexport const role = defineRole({ async start() { await open(); } });',
  'export function register() { run(); }\nexport class A { static of = 1; }\nexport type T = string;',
];

const silent = PLANTED.filter((program) => deedsIn(program).length === 0);
const wrong = HARMLESS.filter((program) => deedsIn(program).length > 0);
for (const program of silent) console.error(`a side effect is not noticed: ${program}`);
for (const program of wrong) console.error(`a declaration is taken for a side effect: ${program}`);

const files = globSync('{services,cdk8s,dashboards}/**/*.ts', { cwd: root }).filter(
  (file) => !/\.spec\.ts$/.test(file) && !ENTRY_POINTS.test(file),
);
const found = files.flatMap((file) =>
  deedsIn(readFileSync(`${root}${file}`, 'utf8')).map((line) => `${file}:${line}`),
);
for (const place of found) console.error(`${place}: does something when it is imported`);
if (silent.length > 0 || wrong.length > 0 || found.length > 0 || files.length < 100) process.exit(1);
console.log(`no import has a side effect: ${files.length} files, ${PLANTED.length} planted deeds noticed`);
