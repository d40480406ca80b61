import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { IdProof, type Writer } from './id-floor.ts';

const writers = (...transactions: string[]): Writer[] =>
  transactions.map((transaction) => ({ transaction, pid: 1 }));

test('while nobody writes, all ids that were drawn are decided', () => {
  const proof = new IdProof();
  proof.observe(7, [], 0);
  expect(proof.upTo).toBe(7);
});

test('an id is decided once everyone who wrote when it was the last one has ended, whoever writes now', () => {
  const proof = new IdProof();
  proof.observe(7, writers('3/1', '4/1'), 0);
  expect([proof.upTo, proof.waitsSince]).toEqual([0, 0]);
  proof.observe(8, writers('4/1', '5/1'), 1);
  expect(proof.upTo).toBe(0);
  proof.observe(9, writers('5/1', '6/1'), 2);
  expect([proof.upTo, proof.waitsSince]).toEqual([7, 2]);
  proof.observe(12, [], 3);
  expect([proof.upTo, proof.waitsSince]).toEqual([12, null]);
});

test('a transaction that was prepared under another name is waited for as if it were each of them', () => {
  const proof = new IdProof();
  proof.observe(7, writers('3/1'), 0);
  proof.observe(7, [{ transaction: '-1/740', pid: null }], 1);
  expect(proof.upTo).toBe(0);
  proof.observe(7, [], 2);
  expect(proof.upTo).toBe(7);
});

test('whatever begins, draws, commits or is prepared in between, no id up to the proven one appears afterwards', () => {
  const step = fc.record({
    do: fc.constantFrom('lock', 'draw', 'end', 'prepare', 'read last', 'read writers'),
    who: fc.nat({ max: 4 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), fc.boolean(), (steps, renames) => {
      const proof = new IdProof();
      const open = new Map<number, { name: string; ids: number[]; isPrepared: boolean }>();
      let [lastId, transactions, time] = [0, 0, 0];
      let last: number | null = null;
      for (const one of steps) {
        const mine = open.get(one.who);
        if (one.do === 'lock' && !mine) {
          open.set(one.who, { name: `${one.who}/${++transactions}`, ids: [], isPrepared: false });
        } else if (one.do === 'draw' && mine && !mine.isPrepared) {
          mine.ids.push(++lastId);
        } else if (one.do === 'prepare' && mine) {
          mine.isPrepared = true;
          if (renames) mine.name = `-1/${++transactions}`;
        } else if (one.do === 'end' && mine) {
          for (const id of mine.ids) expect(id).toBeGreaterThan(proof.upTo);
          open.delete(one.who);
        } else if (one.do === 'read last') {
          last = lastId;
        } else if (one.do === 'read writers' && last !== null) {
          proof.observe(last, writers(...[...open.values()].map(({ name }) => name)), time++);
          last = null;
        }
      }
      // And it gets there once all have ended.
      proof.observe(lastId, [], time);
      proof.observe(lastId, [], time);
      expect(proof.upTo).toBe(lastId);
    }),
    { numRuns: 2_000 },
  );
});
