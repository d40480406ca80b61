import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { partitionShare } from './partition-share.ts';

const NONE: ReadonlySet<number> = new Set();
const range = (count: number) => Array.from({ length: count }, (_, i) => i);

/** Everybody decides in turn, of what all see, until nobody moves anything. @returns how often a partition moved */
function settle(
  members: readonly number[],
  partitions: readonly number[],
  owners: Map<number, number>,
): number {
  let moves = 0;
  for (let step = 0; step < 100; step++) {
    let isBalanced = true;
    for (const me of members) {
      const share = partitionShare({ me, members, owners }, partitions, NONE);
      if (!share.isBalanced) isBalanced = false;
      for (const partition of share.release) {
        expect(owners.get(partition)).toBe(me);
        owners.delete(partition);
        moves += 1;
      }
      for (const partition of share.take) {
        expect(owners.has(partition)).toBe(false);
        owners.set(partition, me);
      }
    }
    if (isBalanced) return moves;
  }
  throw new Error('never settles');
}

test('the only member takes everything, and of two each gives the other its half', () => {
  const owners = new Map<number, number>();
  expect(settle([7], range(4), owners)).toBe(0);
  expect([...owners.values()]).toEqual([7, 7, 7, 7]);
  expect(settle([7, 9], range(4), owners)).toBe(2);
  expect([...owners.values()].sort()).toEqual([7, 7, 9, 9]);
});

test('who is not a member yet takes nothing, and gives nothing', () => {
  expect(partitionShare({ me: 1, members: [2], owners: new Map() }, range(4), NONE)).toEqual({
    take: [],
    release: [],
    lacks: 0,
    isBalanced: false,
  });
});

test('what is being released already is neither counted nor released again', () => {
  const owners = new Map(range(4).map((partition) => [partition, 1]));
  const share = partitionShare({ me: 1, members: [1, 2], owners }, range(4), new Set([2, 3]));
  expect(share).toMatchObject({ take: [], release: [] });
});

test('a partition that a session owns which is no member any more is waited for', () => {
  const owners = new Map([
    [0, 1],
    [1, 5],
  ]);
  const share = partitionShare({ me: 1, members: [1], owners }, range(2), NONE);
  expect(share).toEqual({ take: [], release: [], lacks: 1, isBalanced: false });
});

test('members that take at the same moment do not begin with the same partition', () => {
  const firsts = [1, 2, 3].map(
    (me) => partitionShare({ me, members: [1, 2, 3], owners: new Map() }, range(6), NONE).take,
  );
  expect(new Set(firsts.flat()).size).toBe(6);
});

test('whoever comes and goes: all is owned, shares differ by one at most, and nothing moves without need', () => {
  const memberships = fc.array(
    fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 }),
    {
      minLength: 1,
      maxLength: 6,
    },
  );
  fc.assert(
    fc.property(memberships, fc.integer({ min: 1, max: 30 }), (changes, count) => {
      const owners = new Map<number, number>();
      for (const members of changes) {
        for (const [partition, owner] of owners) if (!members.includes(owner)) owners.delete(partition);
        const kept = Map.groupBy(owners, ([, owner]) => owner);
        const most = Math.ceil(count / members.length);
        const surplus = members.reduce(
          (sum, member) =>
            sum + Math.max(0, (kept.get(member)?.length ?? 0) - Math.floor(count / members.length)),
          0,
        );
        expect(settle(members, range(count), owners)).toBeLessThanOrEqual(surplus);
        expect(owners.size).toBe(count);
        const sizes = members.map(
          (member) => [...owners.values()].filter((owner) => owner === member).length,
        );
        expect(Math.max(...sizes)).toBeLessThanOrEqual(most);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
      }
    }),
  );
});
