import { expect, test } from '@jest/globals';
import { silentLog } from '#platform/log.ts';
import type { Difference, ParkedSeller, Truth } from './compare-view.ts';
import { type Session, type WatchSettings, watchView } from './watch.ts';

const SETTINGS: WatchSettings = {
  sellersPerSecond: 1_000_000,
  pauseMs: 0,
  catchUpMs: 20,
  repair: true,
  repairsPerPass: 1_000,
  repairsPerSecond: 100_000,
};

/** A view whose rows of the sellers in `wrong` say something else, until a repair of them arrives. */
function world(sellers: number, wrong: number[], options: { heals?: boolean; late?: boolean } = {}) {
  const broken = new Set(wrong);
  const state = {
    parked: [] as ParkedSeller[],
    erased: [] as number[],
    /** Sellers whose row is newer than the source. */
    ahead: [] as number[],
    sent: [] as number[][],
    opened: 0,
    closed: 0,
    failing: false,
    broken,
  };
  const truths = Array.from(
    { length: sellers },
    (_, i): Truth => ({ sellerId: i + 1, version: 1, committedAt: '', clients: [], erased: false }),
  );
  const compared = (asked: readonly Truth[]) => ({
    digest: 0n,
    differences: asked
      .filter(({ sellerId }) => broken.has(sellerId))
      .map(
        ({ sellerId }): Difference => ({
          sellerId,
          expected: 1,
          held: state.ahead.includes(sellerId) ? 2 : 1,
          digests: { expected: 1n, held: 2n },
        }),
      ),
  });
  const session: Session = {
    source: {
      next: async (after, limit) => {
        if (state.failing) throw new Error('is away');
        return truths.filter(({ sellerId }) => sellerId > after).slice(0, limit);
      },
      of: async (ids) =>
        truths
          .filter(({ sellerId }) => ids.includes(sellerId))
          .map((truth) => ({ ...truth, erased: state.erased.includes(truth.sellerId) })),
      newestUnsent: async () => (options.late ? 1 : null),
      isSentUpTo: async () => !options.late,
    },
    view: {
      compareRange: async (asked) => compared(asked),
      compareSellers: async (asked) => compared(asked),
      checkpoints: async () => new Map(),
      parked: async () => state.parked,
    },
    topic: { ends: async () => new Map() },
    repairs: {
      async send(differences) {
        const ids = differences.map(({ sellerId }) => sellerId);
        state.sent.push(ids);
        if (options.heals !== false) {
          for (const sellerId of ids) broken.delete(sellerId);
          state.parked = state.parked.filter(({ sellerId }) => !ids.includes(sellerId));
        }
        return differences;
      },
    },
    close: async () => {
      state.closed += 1;
    },
  };
  return {
    ...state,
    state,
    open: async () => {
      state.opened += 1;
      return session;
    },
  };
}

/** Watches until so many passes have ended, well or not. @returns what each said */
async function passes(
  { open }: ReturnType<typeof world>,
  many: number,
  settings: Partial<WatchSettings> = {},
  afterEach: (said: string) => void = () => {},
) {
  const ended = new AbortController();
  const said: string[] = [];
  let unhealed = 0;
  const say = (what: string) => {
    said.push(what);
    afterEach(what);
    // The pass whose verdict this is still repairs.
    if (said.length > many) ended.abort(new Error('was stopped'));
  };
  await watchView(
    open,
    { ...SETTINGS, ...settings },
    {
      compared: (sellers, divergent) => say(`${divergent} of ${sellers}`),
      repaired: () => {},
      unhealed: (count) => {
        unhealed = count;
      },
      failed: () => say('failed'),
    },
    silentLog,
    ended.signal,
  );
  return { said: said.slice(0, many), unhealed };
}

test('what differs is told, sent again, and told to be right', async () => {
  const it = world(1_200, [3, 700, 1_100]);
  expect((await passes(it, 3)).said).toEqual(['3 of 1200', '0 of 1200', '0 of 1200']);
  expect(it.state.sent).toEqual([[3, 700, 1_100]]);
  expect([it.state.opened, it.state.closed]).toEqual([1, 1]);
});

test('a pass sends no more than it may, and no more at a time than holds few locks', async () => {
  const it = world(
    200,
    Array.from({ length: 150 }, (_, i) => i + 1),
  );
  expect((await passes(it, 3, { repairsPerPass: 120 })).said).toEqual([
    '150 of 200',
    '30 of 200',
    '0 of 200',
  ]);
  expect(it.state.sent.map(({ length }) => length)).toEqual([50, 50, 20, 30]);
});

test('who only watches sends nothing', async () => {
  const it = world(10, [3]);
  expect((await passes(it, 3, { repair: false })).said).toEqual(['1 of 10', '1 of 10', '1 of 10']);
  expect(it.state.sent).toEqual([]);
});

test('a repair that does not heal is given up, and that is told', async () => {
  const it = world(10, [3], { heals: false });
  const { unhealed } = await passes(it, 6);
  expect(it.state.sent).toEqual([[3], [3], [3]]);
  expect(unhealed).toBe(1);
});

const parked = (sellerId: number, version: number | null, isOutdated = false): ParkedSeller => ({
  sellerId,
  version,
  isOutdated,
});

test('a seller whose newest state is parked is neither told nor sent', async () => {
  const it = world(10, [3, 4, 5]);
  it.state.parked.push(parked(3, 1), parked(5, null));
  expect((await passes(it, 2)).said).toEqual(['1 of 10', '0 of 10']);
  expect(it.state.sent).toEqual([[4]]);
});

test('a seller whose parked message is older than the source, or too old to be trusted, is sent', async () => {
  const it = world(10, [3, 5]);
  it.state.parked.push(parked(3, 0), parked(5, 1, true));
  expect((await passes(it, 2)).said).toEqual(['2 of 10', '0 of 10']);
  expect(it.state.sent).toEqual([[3, 5]]);
});

test('a parked message does not hold back a row that is newer than the source', async () => {
  const it = world(10, [3, 5]);
  it.state.ahead.push(3, 5);
  it.state.parked.push(parked(3, null), parked(5, 2));
  expect((await passes(it, 2)).said).toEqual(['2 of 10', '0 of 10']);
  expect(it.state.sent).toEqual([[3, 5]]);
});

test('a parked message of a seller who is erased, or whom the source does not know, holds nothing back', async () => {
  const it = world(10, [3]);
  it.state.erased.push(3, 4);
  // Of 4 the row is right, or absent; the message of an erased seller has to go all the same.
  it.state.parked.push(parked(3, 1), parked(4, null), parked(11, 1));
  expect((await passes(it, 2)).said).toEqual(['2 of 10', '0 of 10']);
  expect(it.state.sent).toEqual([[3, 4]]);
});

test('a view that is late comes to no verdict', async () => {
  const it = world(10, [3], { late: true });
  expect((await passes(it, 2)).said).toEqual(['failed', 'failed']);
  expect(it.state.sent).toEqual([]);
});

test('a failure closes what was open and ends a pass, not the watch', async () => {
  const it = world(10, []);
  it.state.failing = true;
  const { said } = await passes(it, 3, {}, (what) => {
    if (what === 'failed' && it.state.opened === 2) it.state.failing = false;
  });
  expect(said).toEqual(['failed', 'failed', '0 of 10']);
  expect([it.state.opened, it.state.closed]).toEqual([3, 3]);
});
