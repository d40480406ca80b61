import { expect, test } from '@jest/globals';
import { calibrationFigures, calibrationLine } from './calibration.ts';

const CALIBRATION = { commitsPerSecond: 5_059.2, produceMs: 0.44, helloPerSecond: 25_540 };

test('the machine comes in one line, and as figures that no target judges', () => {
  expect(calibrationLine(CALIBRATION)).toBe(
    'the machine: 5,059 single-row commits/s on one connection, 0.44 ms for a produce round trip, 25,540 hellos/s of node:http',
  );
  const figures = calibrationFigures([CALIBRATION, { ...CALIBRATION, produceMs: 0.5 }]);
  expect(figures.map(({ values, target }) => [values[1], target])).toEqual([
    [5_059.2, null],
    [0.5, null],
    [25_540, null],
  ]);
  expect(calibrationFigures([])).toEqual([]);
});
