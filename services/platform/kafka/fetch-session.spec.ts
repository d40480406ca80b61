import { expect, test } from '@jest/globals';
import { FetchSession } from './fetch-session.ts';

const offsets = (entries: Record<number, number>) =>
  new Map(Object.entries(entries).map(([partition, offset]) => [Number(partition), offset]));

test('the first request names all, later ones what has changed, and what is not wanted any more is forgotten', () => {
  const session = new FetchSession();
  expect(session.next(offsets({ 0: 5, 1: 5, 2: 5 }), true)).toEqual({
    session: { id: 0, epoch: 0 },
    offsets: offsets({ 0: 5, 1: 5, 2: 5 }),
    forgotten: [],
  });
  session.answered(42);
  expect(session.next(offsets({ 0: 5, 1: 6 }), true)).toEqual({
    session: { id: 42, epoch: 1 },
    offsets: offsets({ 1: 6 }),
    forgotten: [2],
  });
  session.answered(42);
  // Back to an offset that was read before.
  expect(session.next(offsets({ 0: 1, 1: 6, 2: 5 }), true)).toEqual({
    session: { id: 42, epoch: 2 },
    offsets: offsets({ 0: 1, 2: 5 }),
    forgotten: [],
  });
});

test('after a failure all are named again, under the old id, so that the broker can end that session', () => {
  const session = new FetchSession();
  session.next(offsets({ 0: 5 }), true);
  session.answered(42);
  session.next(offsets({ 0: 6 }), true);
  session.begin();
  expect(session.next(offsets({ 0: 6 }), true)).toMatchObject({
    session: { id: 42, epoch: 0 },
    offsets: offsets({ 0: 6 }),
  });
});

test('a broker without sessions, or without room for one, is always told everything', () => {
  const session = new FetchSession();
  for (let turn = 0; turn < 2; turn++) {
    expect(session.next(offsets({ 0: 5 }), true).offsets.size).toBe(1);
    session.answered(0);
  }
  expect(session.next(offsets({ 0: 5 }), false)).toMatchObject({ session: { id: 0, epoch: -1 } });
});

test('without a session each request begins with another partition, because the first one is served first', () => {
  const session = new FetchSession();
  const firsts = Array.from({ length: 4 }, () => {
    const [first] = session.next(offsets({ 0: 5, 1: 5, 2: 5 }), false).offsets.keys();
    return first;
  });
  expect(firsts).toEqual([0, 1, 2, 0]);
});
