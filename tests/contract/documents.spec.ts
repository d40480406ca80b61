/** What is written for people: decisions by one template, links and paths that lead somewhere, figures that were measured. */
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { allTables, withTables } from '../../bench/comparison/document.ts';
import { withFigures } from '../../bench/measured.ts';
import { readMeasured } from '../../bench/measured-files.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const DOCUMENTS = globSync('**/*.md', {
  cwd: root,
  exclude: ['**/node_modules', '.cache', '.demo', 'bench/results', 'dist', 'coverage'],
}).toSorted();

const DECISIONS = readdirSync(join(root, 'docs/adr')).filter(
  (name) => !['README.md', 'template.md'].includes(name),
);
const headingsOf = (text: string) => [...text.matchAll(/^## (.+)$/gm)].map(([, heading]) => heading);
const titleOf = (text: string) => /^# (.+)\n/.exec(text)?.[1];
const statusOf = (text: string) => /^- Status: (.+)$/m.exec(text)?.[1];
const dateOf = (text: string) => /^- Date: (.+)$/m.exec(text)?.[1];

/** What a decision lacks of the template, in words. */
function faultsOf(name: string, text: string, template: string, index: string): string[] {
  const lines = text.trimEnd().split('\n');
  const options = text.slice(text.indexOf('## Options'), text.indexOf('## Decision'));
  const row = `| [${titleOf(text)}](${name}) | ${statusOf(text)} | ${dateOf(text)} |`;
  return [
    titleOf(text) === undefined ? 'it does not begin with its title' : '',
    /^(proposed|accepted|superseded by \[.+\]\(.+\.md\))$/.test(statusOf(text) ?? '')
      ? ''
      : 'no status of the template',
    /^\d{4}-\d\d-\d\d(, revised \d{4}-\d\d-\d\d)?$/.test(dateOf(text) ?? '') ? '' : 'no date of the template',
    headingsOf(text).join() === headingsOf(template).join()
      ? ''
      : `its headings are ${headingsOf(text).join(', ')}`,
    /\d/.test(options.replaceAll(/\]\([^)]*\)/g, '')) ? '' : 'its options have no numbers',
    lines.length <= 60 ? '' : `it has ${lines.length} lines; a page has 60`,
    lines.some((line) => line.length > 140 && !line.startsWith('|'))
      ? 'a line of more than 140 characters'
      : '',
    index.includes(row) ? '' : `the index lacks ${row}`,
  ].filter((fault) => fault !== '');
}

test.each(DECISIONS)('%s is a page, by the template, and in the index as it is', (name) => {
  const [text, template, index] = [`docs/adr/${name}`, 'docs/adr/template.md', 'docs/adr/README.md'].map(
    read,
  );
  expect(faultsOf(name, text!, template!, index!)).toEqual([]);
});

test('the index has no decision that is gone', () => {
  const listed = [...read('docs/adr/README.md').matchAll(/^\| \[.+\]\((.+\.md)\)/gm)].map(([, name]) => name);
  expect(listed.toSorted()).toEqual(DECISIONS.toSorted());
});

test('the index has the oldest decision first, and those of a day by name', () => {
  const rows = [...read('docs/adr/README.md').matchAll(/^\| \[.+\]\((.+\.md)\) .+ \| (\d{4}-\d\d-\d\d)/gm)];
  const keys = rows.map(([, name, date]) => `${date} ${name}`);
  expect(keys).toEqual(keys.toSorted());
});

test('a decision that leaves the template is noticed, by each of its faults', () => {
  const template = '## Context\n\n## Options\n\n## Decision\n\n## Consequences\n';
  const good = `# A\n\n- Status: accepted\n- Date: 2026-11-28\n\n${template.replace('## Decision', '5 ms\n\n## Decision')}`;
  const index = '| [A](a.md) | accepted | 2026-11-28 |';
  expect(faultsOf('a.md', good, template, index)).toEqual([]);
  const bad = {
    'no status': good.replace('accepted', 'maybe'),
    'no date': good.replace('2026', 'today'),
    'its headings': good.replace('## Context', '## Background'),
    'no numbers': good.replace('5 ms', 'fast'),
    'a page has 60': good + '\nmore'.repeat(60),
    'a line of more': `${good}\n${'x'.repeat(141)}`,
    'the index lacks': good.replace('# A', '# B'),
    'begin with its title': good.replace('# A\n', ''),
  };
  for (const [fault, text] of Object.entries(bad)) {
    expect(faultsOf('a.md', text, template, index).join()).toContain(fault);
  }
});

/** As GitHub makes them of headings. */
const anchorsOf = (text: string) =>
  [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
const withoutCode = (text: string) => text.replaceAll(/```[\s\S]*?```/g, '').replaceAll(/`[^`\n]*`/g, '');

/** Links of a document that lead nowhere, to a heading that is not there among them. */
function brokenLinks(path: string, text: string): string[] {
  return [...withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, to]) => to!)
    .filter((to) => !/^[a-z]+:/.test(to))
    .filter((to) => {
      const [file, anchor] = to.split('#') as [string, string?];
      const target = file === '' ? path : join(dirname(path), file);
      if (!existsSync(join(root, target))) return true;
      return anchor !== undefined && !anchorsOf(file === '' ? text : read(target)).includes(anchor);
    });
}
/** Files of this repository that a document names and that are not there. */
const missingPaths = (text: string): string[] =>
  [...text.matchAll(/`((?:services|cdk8s|dashboards|charts|tests|bench|docs|generate)\/[\w./-]+)`/g)]
    .map(([, path]) => path!)
    .filter((path) => !path.startsWith('bench/results') && !existsSync(join(root, path)));

test.each(DOCUMENTS)('%s leads to what there is', (path) => {
  expect(brokenLinks(path, read(path))).toEqual([]);
  expect(missingPaths(read(path))).toEqual([]);
});

test('a link, a heading and a path that lead nowhere are noticed', () => {
  expect(
    brokenLinks('docs/faults.md', '[a](gone.md) [b](adr/README.md) [c](#there)\n\n## There\n\n[d](#gone)'),
  ).toEqual(['gone.md', '#gone']);
  expect(missingPaths('`services/gone.ts`, `services/main.ts`, `services/*/main.ts`')).toEqual([
    'services/gone.ts',
  ]);
});

test.each(['bench/README.md', 'docs/comparison.md'])('%s is a page of 120 lines at most', (path) => {
  expect(read(path).trimEnd().split('\n').length).toBeLessThanOrEqual(120);
});

test('figures in documents are those of the committed results: make bench-report', () => {
  const page = read('bench/README.md');
  expect(withFigures(page, readMeasured())).toBe(page);
  const [comparison, results] = [
    read('docs/comparison.md'),
    JSON.parse(read('docs/comparison/results.json')),
  ];
  expect(withTables(comparison, results)).toBe(comparison);
  expect(allTables(results)).toBe(read('docs/comparison/tables.md'));
});
