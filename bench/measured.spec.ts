import { expect, test } from '@jest/globals';
import { fileOf, type PipelineRun, withFigures } from './measured.ts';

const RUN: PipelineRun = {
  at: '2026-11-28T10:00:00.000Z',
  commit: 'abc1234',
  cpu: 'Intel(R) Xeon(R) Processor',
  cores: 2,
  memoryGb: 24,
  versions: { node: 'v24' },
  runs: 3,
  busiestLoad: 1.5,
  figures: [{ name: 'p50', unit: 'ms', target: { most: 5 }, values: [6, 4, 8] }],
};

const DOCUMENT = '<!-- delay -->\nold\n<!-- /delay -->\na\n<!-- pipeline -->\nold\n<!-- /pipeline -->\nb';

test('a kind of machine has one file, whatever its name is decorated with', () => {
  expect(fileOf(RUN)).toBe('pipeline-intel-xeon-processor.json');
  expect(fileOf({ cpu: 'AMD EPYC' })).toBe('pipeline-amd-epyc.json');
});

test('the figures of all runs stand between the markers, each with its machine, and a miss is said', () => {
  const other: PipelineRun = {
    ...RUN,
    cpu: 'AMD EPYC',
    memoryGb: null,
    ratioRuns: 5,
    transcribed: 'from print',
    figures: [
      { name: 'p50', unit: 'ms', target: { most: 5 }, values: [3, 4, 5] },
      { name: 'only here', unit: '', target: null, values: [1_500] },
    ],
  };
  const text = withFigures(DOCUMENT, [RUN, other]);
  expect(text).not.toContain('old');
  expect(text).toContain(
    '- **Intel(R) Xeon(R) Processor**, 2026-11-28: commit abc1234, 2 cores, 24 GB, node v24, 3 runs, load before a measurement at most 1.5.',
  );
  expect(text).toContain(
    '- **AMD EPYC**, 2026-11-28: commit abc1234, 2 cores, node v24, 3 runs, 5 of ratios, load',
  );
  expect(text).toContain('at most 1.5, transcribed as printed.');
  expect(text).toContain('| p50 | ms | ≤ 5 |  | 6.00 (4.00–8.00) **missed** | 4.00 (3.00–5.00) |');
  expect(text).toContain('| only here |  |  |  | – | 1,500 (1,500–1,500) |');
});

test('the document says first how long it takes from commit to visible, of each machine that told it', () => {
  const delay = (p50: number, p99: number): PipelineRun['figures'] => [
    { name: 'commit → visible, p50', unit: 'ms', target: null, values: [p50 + 1, p50, p50 - 1] },
    { name: 'commit → visible, p99', unit: 'ms', target: null, values: [p99] },
  ];
  const runs = [
    { ...RUN, cpu: 'A', figures: delay(3.367, 10.84) },
    RUN,
    { ...RUN, cpu: 'B', cores: 4, figures: delay(4.5, 19) },
  ];
  expect(withFigures(DOCUMENT, runs)).toContain(
    '<!-- delay -->\n**p50 3.37 ms, p99 10.8 ms** on A with 2 cores; **p50 4.50 ms, p99 19.0 ms** on B with 4 cores.\n<!-- /delay -->',
  );
});
