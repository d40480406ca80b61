import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ChangeNotifications } from './cache-invalidation.ts';

/** A clock by hand, and changes on it. */
function rig() {
  let now = 0;
  return { changes: new ChangeNotifications({ monotonic: () => now }), later: () => (now += 1) };
}

test('nothing is known before it listens, after it was lost, and of what was read before it listened again', () => {
  const { changes, later } = rig();
  const before = later();
  expect(changes.isUnchanged(1, before)).toBe(false);
  changes.begin();
  expect(changes.isUnchanged(1, before)).toBe(false);
  const since = later();
  expect(changes.isUnchanged(1, since)).toBe(true);
  changes.end();
  expect(changes.isUnchanged(1, later())).toBe(false);
  changes.begin();
  expect(changes.isUnchanged(1, since)).toBe(false);
  expect(changes.isUnchanged(1, later())).toBe(true);
});

test('a seller whose row changed is invalidated for what was asked before, and the others are not', () => {
  const { changes, later } = rig();
  changes.begin();
  const before = later();
  later();
  changes.note('3,14');
  const after = later();
  expect([3, 14, 4].map((id) => changes.isUnchanged(id, before))).toEqual([false, false, true]);
  expect([3, 14, 4].map((id) => changes.isUnchanged(id, after))).toEqual([true, true, true]);
  expect([3, 14, 4].map((id) => changes.isInvalidated(id, before))).toEqual([true, true, false]);
  expect([3, 14, 4].map((id) => changes.isInvalidated(id, after))).toEqual([false, false, false]);
  changes.note('*');
  expect([3, 14, 4].map((id) => changes.isUnchanged(id, after))).toEqual([false, false, false]);
});

test('what comes after it was lost does not make it know again', () => {
  const { changes, later } = rig();
  changes.begin();
  changes.end();
  changes.note('*');
  changes.note('1');
  expect(changes.isUnchanged(2, later())).toBe(false);
});

test('a notification at the very instant of a question invalidates its answer', () => {
  const { changes, later } = rig();
  changes.begin();
  const asked = later();
  changes.note('1');
  expect([changes.isUnchanged(1, asked), changes.isInvalidated(1, asked)]).toEqual([false, true]);
});

test('memory is bounded: beyond the most sellers that are kept, every entry is invalidated', () => {
  const { changes, later } = rig();
  changes.begin();
  const since = later();
  for (let from = 0; from <= 20_000; from += 100) {
    changes.note(Array.from({ length: 100 }, (_, i) => from + i + 1).join(','));
  }
  expect(changes.isUnchanged(999_999, since)).toBe(false);
  expect(changes.isUnchanged(999_999, later())).toBe(true);
});

test('whatever order notifications come in, no list that changed after it was read is unchanged', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('change' as const), seller: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ do: fc.constant('read' as const), seller: fc.integer({ min: 1, max: 4 }) }),
    fc.record({
      do: fc.constantFrom('all' as const, 'lose' as const, 'listen' as const),
      seller: fc.constant(0),
    }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const { changes, later } = rig();
      const truth = new Map<number, number>();
      const known = new Map<number, { version: number; askedAt: number }>();
      let listens = false;
      let version = 0;
      for (const { do: what, seller } of steps) {
        if (what === 'read') known.set(seller, { version: truth.get(seller) ?? 0, askedAt: later() });
        if (what === 'change') truth.set(seller, ++version);
        if (what === 'all') for (const id of [1, 2, 3, 4]) truth.set(id, ++version);
        if (what === 'lose' || what === 'listen') {
          listens = what === 'listen';
          listens ? changes.begin() : changes.end();
        }
        later();
        if (listens && what === 'change') changes.note(String(seller));
        if (listens && what === 'all') changes.note('*');
        for (const [id, { version: held, askedAt }] of known) {
          if (changes.isUnchanged(id, askedAt)) expect(held).toBe(truth.get(id) ?? 0);
        }
      }
    }),
    { numRuns: 200 },
  );
});
