import { expect, test } from '@jest/globals';
import { type Movement, type PartitionLook, watchMovement } from './movement.ts';

const look = (one: Partial<PartitionLook> = {}): PartitionLook => ({
  partition: 3,
  applied: 10,
  readable: 5,
  isQueued: false,
  ...one,
});

/** How long partition 3 has stood still after these looks, two seconds apart. */
function stillAfter(...looks: PartitionLook[]): number {
  let movements: ReadonlyMap<number, Movement> = new Map();
  for (const one of looks) movements = watchMovement(movements, [one], 2_000, 4_000);
  return movements.get(3)!.stillMs;
}

test('a partition that has something to read and does not move stands still from look to look', () => {
  expect(stillAfter(look())).toBe(0);
  expect(stillAfter(look(), look(), look())).toBe(4_000);
});

test.each([
  ['moves', look({ applied: 11 })],
  ['has nothing left to read', look({ readable: 0 })],
  ['waits here for its turn', look({ isQueued: true })],
])('one that %s does not', (_, last) => {
  expect(stillAfter(look(), look(), last)).toBe(0);
});

test('one that is not owned any more is forgotten, and begins anew', () => {
  const before = watchMovement(new Map(), [look()], 2_000, 4_000);
  const gone = watchMovement(before, [], 2_000, 4_000);
  expect(gone.size).toBe(0);
});

test('the time that this process itself was asleep does not count', () => {
  const before = watchMovement(new Map(), [look()], 2_000, 4_000);
  expect(watchMovement(before, [look()], 3_600_000, 4_000).get(3)!.stillMs).toBe(4_000);
});
