import { expect, test } from '@jest/globals';
import { FLOOR, floorSection } from './floor.ts';

const environment = {
  ...{ at: '2026-11-30T01:02:03.004Z', cpu: 'a CPU', cores: 2, memoryGb: 24, kernel: '6', versions: {} },
  ...{ loadAtStart: [], commit: 'abc', command: 'node bench/idle.ts --keep' },
};
const figure = (name: string, unit: string, ...values: number[]) => ({ name, unit, target: null, values });

test('has a row a role, what all take together, and the first events', () => {
  const section = floorSection({
    environment,
    figures: [
      figure('relay, this', FLOOR.idleCpu, 0.5, 0.7, 0.9),
      figure('relay, this', FLOOR.floorMemory, 80),
      figure('kafka, this', FLOOR.floorMemory, 300),
      figure('commit → visible, this', FLOOR.afterRest, 12, 8, 9),
    ],
  });
  expect(section).toContain('2026-11-30, commit abc: 2 cores of a CPU; medians of 3 runs');
  expect(section).toContain('| relay | 0.70 |  |  |  | 80.0 |');
  expect(section).toContain('| all together | 0.70 | 0.00 | 0.00 | 0.00 | 380 |');
  expect(section).toContain('first event after a rest, ms: 8.00, 9.00, 12.0.');
});
