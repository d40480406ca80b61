/**
 * A page is its folder and its name in the list: nobody else lists pages by hand, for the next page would be missing
 * there. First proves that each way to list them is detected. `npm run boundaries`
 */
import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { PAGE_NAMES } from '#contracts/pages.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
/** Where pages are named one by one: their list and folders, and the sellers that are made up for each. */
const NAMED_HERE = /^services\/(contracts\/pages\.ts$|pages\/|seed\/own-data\.ts$)/;

/** The pages that a node names: as a text, a member, a setting, or in a rule of CEL. */
function pagesNamedBy(node: ts.Node, pages: readonly string[]): readonly string[] {
  const isMember = ts.isPropertyAssignment(node) || ts.isPropertySignature(node);
  const text = isMember ? node.name.getText() : ts.isStringLiteralLike(node) ? node.text : '';
  return pages.filter(
    (page) => text === page || text.startsWith(`TC_${page.toUpperCase()}_`) || text.includes(`.${page})`),
  );
}

/** The first line that names a second page; null where at most one is named, as by who works for one page. */
function listIn(program: string, pages: readonly string[]): number | null {
  const file = ts.createSourceFile('x.ts', program, ts.ScriptTarget.Latest, true);
  const named = new Set<string>();
  const visit = (node: ts.Node): number | undefined => {
    for (const page of pagesNamedBy(node, pages)) named.add(page);
    if (named.size > 1) return file.getLineAndCharacterOfPosition(node.getStart()).line + 1;
    return ts.forEachChild(node, visit);
  };
  return visit(file) ?? null;
}

const PAGES = ['one', 'two'];
const PLANTED = [
  "const all = ['one', 'two'];",
  'const all = { one: 1, two: 2 };',
  'interface All { one: string; two: string }',
  "type All = 'one' | 'two';",
  "const roles = [{ page: 'one' }, { page: 'two' }];",
  'const env = { TC_ONE_URL: 1, TC_TWO_URL: 2 };',
  "const env = [link('TC_ONE_URL'), link('TC_TWO_URL')];",
  "const rule = 'has(self.urls.one) || has(self.urls.two)';",
];
const HARMLESS = [
  "const lab = { page: 'one' }; const again = 'one';",
  "const text = 'one and two';",
  'const one = 1; const two = one.two;',
];

const silent = PLANTED.filter((program) => listIn(program, PAGES) === null);
const wrong = HARMLESS.filter((program) => listIn(program, PAGES) !== null);
for (const program of silent) console.error(`a list of pages is not noticed: ${program}`);
for (const program of wrong) console.error(`this is taken for a list of pages: ${program}`);

const files = globSync('{services,cdk8s,dashboards,generate}/**/*.ts', { cwd: root })
  .filter((file) => !/\.spec\.ts$|\/testing\//.test(file) && !NAMED_HERE.test(file))
  .sort();
const found = files.flatMap((file) => {
  const line = listIn(readFileSync(`${root}${file}`, 'utf8'), PAGE_NAMES);
  return line === null ? [] : [`${file}:${line}`];
});
for (const place of found) console.error(`${place}: lists pages by hand; derive it from PAGE_NAMES`);
if (silent.length > 0 || wrong.length > 0 || found.length > 0 || files.length < 100) process.exit(1);
console.log(`pages are listed once: ${files.length} files, ${PLANTED.length} planted lists noticed`);
