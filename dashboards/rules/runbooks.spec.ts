import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { judge } from '../testing/promql-gate.ts';
import { ALERTS } from './alerts.ts';
import { ruleGroups } from './rules.ts';

const folder = new URL('../../docs/runbooks/', import.meta.url);
const read = (name: string) => readFileSync(new URL(name, folder), 'utf8');

/** What stands as PromQL in a text: whole blocks, and words between backticks that are an expression of ours. */
const expressionsIn = (text: string): string[] => [
  ...[...text.matchAll(/```promql\n([^`]+)```/g)].map(([, expr]) => expr!.trim()),
  ...[...text.matchAll(/`([^`\n]*topclients[_:][^`\n]*)`/g)].map(([, expr]) => expr!),
];

test('each alert has a runbook of its name, and none is of an alert that is gone', () => {
  const wanted = ALERTS.map((alert) => `${alert}.md`);
  expect(readdirSync(folder).sort()).toEqual([...wanted, 'README.md'].sort());
  for (const alert of ALERTS) expect(read('README.md')).toContain(`[${alert}](${alert}.md)`);
  const linked = ruleGroups().flatMap(({ rules }) =>
    rules.flatMap((rule) => ('alert' in rule ? [rule.annotations.runbook_url] : [])),
  );
  expect(new Set(linked)).toEqual(new Set(wanted.map((name) => `docs/runbooks/${name}`)));
});

test.each(ALERTS)(
  '%s: what buyers see, how to confirm on a cluster and in the demo, causes, a way out, an end',
  (alert) => {
    const text = read(`${alert}.md`);
    expect(text.startsWith(`# ${alert}\n`)).toBe(true);
    const headings = [...text.matchAll(/^## (.+)$/gm)].map(([, heading]) => heading);
    expect(headings).toEqual([
      'What buyers see',
      'Confirm',
      'Likely causes',
      'What to do',
      'It is over when',
    ]);
    expect(text).toMatch(/kubectl/);
    expect(text).toContain('`make demo`');
  },
);

test.each([...ALERTS.map((alert) => `${alert}.md`), 'README.md'])(
  '%s asks only for what there is',
  (name) => {
    const text = read(name);
    const faults = expressionsIn(text).flatMap((expr) => judge(expr).faults);
    expect(faults).toEqual([]);
    for (const [, to] of text.matchAll(/\]\((\w+\.md)\)/g)) expect(readdirSync(folder)).toContain(to);
  },
);

test('an expression of a runbook that asks for nothing is noticed', () => {
  const [block, word] = expressionsIn('```promql\nsum(topclients_lag)\n```\nand `topclients_outbox_pendin`');
  expect(judge(block!).faults).toHaveLength(1);
  expect(judge(word!).faults).toHaveLength(1);
});
