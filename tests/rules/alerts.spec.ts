/**
 * The rules by Prometheus' own tool: that it takes them, that each alert fires when it should and is silent when it
 * should, and that these tests notice a rule that is wrong. `make rules`
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parse, stringify } from 'yaml';
import { rulesFile } from '#dashboards/files.ts';
import { ALERTS, type AlertName } from '#dashboards/rules/alerts.ts';
import { ruleGroups } from '#dashboards/rules/rules.ts';

const tests = fileURLToPath(new URL('../../dashboards/rules/tests/', import.meta.url));
const testOf = (alert: AlertName) => readFileSync(join(tests, `${alert}.test.yaml`), 'utf8');

interface Rule {
  readonly alert?: string;
  readonly record?: string;
  readonly labels?: Readonly<Record<string, string>>;
  expr: string;
}
type Rules = { groups: { name: string; rules: Rule[] }[] };

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'rules-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** @returns what promtool said, and whether it was content */
function promtool(...args: readonly string[]): Promise<{ content: boolean; said: string }> {
  return new Promise((resolve, reject) => {
    execFile('promtool', args, { timeout: 60_000 }, (err, stdout, stderr) => {
      if (err && (err as NodeJS.ErrnoException).code === 'ENOENT') {
        reject(new Error('promtool is missing; make rules says how to get it'));
      } else resolve({ content: err === null, said: `${stdout}${stderr}` });
    });
  });
}

let file = 0;
const write = (text: string): string => {
  const path = join(folder, `${file++}.yaml`);
  writeFileSync(path, text);
  return path;
};

const RULES = parse(rulesFile()) as Rules;

/** Runs the tests of an alert on rules that were changed first. */
function testWith(alert: AlertName, change: (rules: Rules) => void): ReturnType<typeof promtool> {
  const rules = structuredClone(RULES);
  // Of other alerts promtool would work out every expression as well.
  for (const group of rules.groups)
    group.rules = group.rules.filter((rule) => rule.alert === undefined || rule.alert === alert);
  change(rules);
  const from = write(JSON.stringify(rules));
  return promtool(
    'test',
    'rules',
    write(testOf(alert).replace(/^rule_files: .*$/m, `rule_files: [${from}]`)),
  );
}
const each = (rules: Rules, alert: AlertName, expr: string) => {
  for (const rule of rules.groups.flatMap((group) => group.rules)) if (rule.alert === alert) rule.expr = expr;
};

test('promtool takes the rules, for every installation and for one', async () => {
  const one = stringify({ groups: ruleGroups({ namespace: 'shop' }) }, { aliasDuplicateObjects: false });
  for (const text of [rulesFile(), one]) {
    expect(await promtool('check', 'rules', '--lint-fatal', write(text))).toMatchObject({ content: true });
  }
  const broken = rulesFile().replace('expr: sum by', 'expr: summ by');
  expect(await promtool('check', 'rules', '--lint-fatal', write(broken))).toMatchObject({ content: false });
});

test('each alert has tests, and no tests are of an alert that is gone', () => {
  expect(readdirSync(tests).sort()).toEqual(ALERTS.map((alert) => `${alert}.test.yaml`).sort());
});

describe.each(ALERTS)('%s', (alert) => {
  test('is tried firing and silent, with its text', () => {
    const cases = (
      parse(testOf(alert)) as {
        tests: { alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }[];
      }
    ).tests.flatMap((one) => one.alert_rule_test);
    expect(new Set(cases.map(({ alertname }) => alertname))).toEqual(new Set([alert]));
    expect(cases.some(({ exp_alerts }) => exp_alerts.length > 0)).toBe(true);
    expect(cases.some(({ exp_alerts }) => exp_alerts.length === 0)).toBe(true);
  });

  test('fires and is silent as its tests say', async () => {
    expect(await testWith(alert, () => {})).toMatchObject({ content: true });
  });

  test('its tests notice a rule that always fires, and one that never does', async () => {
    expect(await testWith(alert, (rules) => each(rules, alert, 'vector(1)'))).toMatchObject({
      content: false,
    });
    expect(await testWith(alert, (rules) => each(rules, alert, 'vector(0) > 1'))).toMatchObject({
      content: false,
    });
  });
});

/** Small mistakes of the kind that looks right. */
test.each<[string, AlertName, string | RegExp, string]>([
  ['freshness by a later bucket', 'TopClientsPageNotFresh', 'le="5"', 'le="15"'],
  [
    'freshness that a dead pipe takes along',
    'TopClientsPageNotFresh',
    / or max by \(namespace, page\) \(topclients:objective_all.*\* 0\)/,
    '',
  ],
  [
    'freshness of pages without a view',
    'TopClientsPageNotFresh',
    'topclients_external_page_view_version)) > 0)',
    'topclients_external_page_view_version)) >= 0)',
  ],
  [
    'error pages counted as incomplete',
    'TopClientsPageIncomplete',
    'missing|stale"}',
    'missing|stale|error"}',
  ],
  ['a budget ten times as large', 'TopClientsPageFails', '> 0.0072', '> 0.072'],
  [
    'one window alone',
    'TopClientsPageFails',
    / and \(topclients:objective_bad:ratio_5m\{objective="renders"\} > 0.0072\)/,
    '',
  ],
  ['all installations in one', 'TopClientsPageFails', /namespace, page, delivery/g, 'page, delivery'],
  [
    'a canary that was never seen',
    'TopClientsCanaryLate',
    /topclients_canary_seen_timestamp_seconds\) == 0/,
    'topclients_canary_seen_timestamp_seconds) < 0',
  ],
  [
    'an empty outbox taken for a very old one',
    'TopClientsRelayStuck',
    'pending_timestamp_seconds) > 0',
    'pending_timestamp_seconds) >= 0',
  ],
  [
    'any leader for every shard',
    'TopClientsRelayHasNoLeader',
    'max by (namespace, shard) (topclients_relay_leader) < 1',
    'max by (namespace) (topclients_relay_leader) < 1',
  ],
])('the tests notice %s', async (_, alert, right, wrong) => {
  let changes = 0;
  const verdict = await testWith(alert, (rules) => {
    for (const rule of rules.groups.flatMap((group) => group.rules)) {
      const before = rule.expr;
      rule.expr = before.replace(right, wrong);
      if (rule.expr !== before) changes++;
    }
  });
  expect(changes).toBeGreaterThan(0);
  expect(verdict).toMatchObject({ content: false });
});
