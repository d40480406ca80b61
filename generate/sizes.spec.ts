import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { RECOMMENDED } from '#cdk8s/api/recommended.ts';
import { amountOf } from '#cdk8s/api/rules.ts';
import { TopClientsSpec } from '#cdk8s/api/top-clients.ts';
import { median } from '../bench/report.ts';
import type { ScaleResults } from '../bench/scale/results.ts';
import { sizesTable, withSizes } from './sizes.ts';

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');

test('the costs that requests stand on are those of the committed measurements', () => {
  const render = /CPU of a page server per render, from 50 to 100\/s \| µs \| (\d+)/.exec(
    read('docs/scale.md'),
  )?.[1];
  expect(RECOMMENDED['page server'].work.micros).toBe(Number(render));
  const { builds } = JSON.parse(read('docs/scale/results.json')) as ScaleResults;
  const peaks = builds.flatMap(({ runs }) => runs.map((run) => run.projectorPeakMb));
  expect(RECOMMENDED.projector.peak.megabytes).toBe(Math.round(Math.max(...peaks)));
  const cost = read('docs/comparison.md').split('<!-- cost -->')[1]!.split('<!-- /cost -->')[0]!;
  const parallel = /^\| 90 % \|[^|]*\|[^|]*\|\s*[\d.]+, [\d.]+, ([\d.]+),/m.exec(cost)?.[1];
  expect(RECOMMENDED.source.work.micros).toBe(Math.round(Number(parallel) * 1_000));
  const events = JSON.parse(read('bench/measured/pipeline-amd-epyc.json')).figures.find(
    ({ name }: { name: string }) => name === 'CPU of relay and projector, per 100,000 events',
  );
  expect(RECOMMENDED.relay.work.micros).toBe(Math.round(median(events.values) * 10));
});

test('a default request carries a million visits and ten thousand writes a day at three times the mean', () => {
  const perSecond = (aDay: number) => (aDay / 86_400) * 3;
  const carried = ({ cpu, work }: { cpu: string; work: { micros: number } }) =>
    (amountOf(cpu) * 1e6) / work.micros;
  // By one of two pods, while the other one is away.
  expect(carried(RECOMMENDED['page server'])).toBeGreaterThan(perSecond(1_000_000));
  for (const role of [RECOMMENDED.relay, RECOMMENDED.projector, RECOMMENDED.source])
    expect(carried(role)).toBeGreaterThan(perSecond(10_000));
});

test('defaults and documentation have the same figures', () => {
  const { source } = TopClientsSpec.parse({});
  expect(source.resources.requests).toEqual({
    cpu: RECOMMENDED.source.cpu,
    memory: RECOMMENDED.source.memory,
  });
  expect(sizesTable()).toContain('| source | 50m CPU, 256Mi |');
  const document = read('docs/operations/README.md');
  expect(withSizes(document)).toBe(document);
});
