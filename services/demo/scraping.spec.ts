import { readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { TARGET_LABELS } from '../../dashboards/promql.ts';
import { portsFrom } from './addresses.ts';
import { describeDemo } from './roles.ts';
import { NAMESPACE, RULES, scraping } from './scraping.ts';

const processes = describeDemo({
  ports: portsFrom(8080),
  host: '127.0.0.1',
  brokers: '127.0.0.1:1',
  otlp: undefined,
  callerKey: 'k'.repeat(32),
  database: (name) => `postgres://localhost/${name}`,
}).roles.flat();

test('every process is scraped where its health port is, under its own name', () => {
  const { targets } = scraping(processes);
  expect(targets.map(({ address, labels }) => `${labels['pod']} ${address}`)).toEqual(
    processes.map(({ name, healthPort }) => `${name} 127.0.0.1:${healthPort}`),
  );
});

test('a target has only labels that dashboards and rules know, and the namespace they choose by', () => {
  for (const { labels } of scraping(processes).targets) {
    for (const label of Object.keys(labels)) expect(TARGET_LABELS).toContain(label);
    expect(labels['namespace']).toBe(NAMESPACE);
  }
});

test('the job is one that the alert on silent targets looks for', async () => {
  const rules = await readFile(RULES, 'utf8');
  const [, pattern] = /up\{job=~"(.+?)"\}/.exec(rules)!;
  expect(scraping(processes).job).toMatch(new RegExp(`^(?:${pattern})$`));
});
