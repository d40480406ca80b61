import { describe, expect, test } from '@jest/globals';
import { CACHE_TTL_MS, ListCache, readManyThroughCache, readThroughCache } from './list-cache.ts';
import { type InvalidationFeed, NO_INVALIDATION_FEED, type PageDatabase, type Statement } from './page.ts';

const answer = (version: number, name?: string) =>
  `-7${version} ${version} 1.000500 ${JSON.stringify(name === undefined ? [] : [{ id: '1', name, logo: null }])}`;

/** Lists of gigs whose numbers are those of their sellers, and what is asked of them at the same instant. */
function rig(feed: InvalidationFeed = NO_INVALIDATION_FEED, capacity?: number) {
  const cache = new ListCache(feed, undefined, 'all', capacity);
  return {
    cache,
    get: (id: number) => cache.get(id),
    isCurrent: (id: number, minVersion = 0) => cache.isCurrent(cache.get(id)!, minVersion),
    read: (id: number, text: string | null, cached = cache.get(id), askedAt = performance.now()) =>
      cache.read(id, id, text, cached, askedAt),
  };
}
const TOLD_ALL: InvalidationFeed = { isUnchanged: () => true, isInvalidated: () => false };

test('the same list object comes back until the view answers with another version', () => {
  const { get, read } = rig();
  const first = read(1, answer(1, 'Spotify & Sons'));
  expect(first).toEqual({
    version: 1,
    committedAt: 1_001,
    clients: [{ id: '1', name: 'Spotify & Sons', logo: null }],
    total: 1,
  });
  expect(get(1)?.list).toBe(first);
  expect(read(1, '')).toBe(first);
  const second = read(1, answer(2));
  expect(second).not.toBe(first);
  expect(get(1)?.list).toBe(second);
});

test('a list that another request replaced meanwhile is still the answer to this one', () => {
  const { get, read } = rig();
  const first = read(1, answer(1));
  const asked = get(1);
  read(1, answer(2));
  expect(read(1, '', asked)).toBe(first);
  expect(get(1)?.list?.version).toBe(2);
});

test('what a replica answers is shown and not cached, and no older than what is cached', () => {
  const { cache, get, read } = rig();
  const ofReplica = (text: string | null, askedAt = performance.now()) =>
    cache.read(1, 1, text, get(1), askedAt, true);
  expect(ofReplica(answer(1))?.version).toBe(1);
  expect(get(1)).toBeUndefined();

  const second = read(1, answer(2));
  const confirmedAt = get(1)!.askedAt;
  expect(ofReplica('', confirmedAt + 10)).toBe(second);
  expect(get(1)!.askedAt).toBe(confirmedAt);
  expect(ofReplica(answer(1))).toBe(second);
  expect(ofReplica(null)).toBe(second);
  expect(ofReplica(answer(3))?.version).toBe(3);
  // What is cached is known to be old.
  expect(get(1)).toBeUndefined();

  // Nor is an erased seller shown again.
  cache.evictSeller(1);
  expect(ofReplica(answer(1))?.version).toBe(1);
  expect(get(1)).toBeUndefined();
});

test('a row that is gone is cached as gone', () => {
  const { get, read } = rig();
  read(1, answer(1));
  expect(read(1, null)).toBeNull();
  expect(get(1)?.list).toBeNull();
});

test('what was read longest ago goes first when there is no room, and empty lists take room too', () => {
  const { get, read } = rig(NO_INVALIDATION_FEED, 3 * (200 + answer(1).length));
  for (const id of [1, 2, 3]) read(id, answer(1));
  get(1);
  read(4, answer(1));
  expect([1, 2, 3, 4].map((id) => get(id) !== undefined)).toEqual([true, false, true, true]);
  for (let id = 5; id < 100; id++) read(id, null);
  expect([1, 3, 4].map((id) => get(id))).toEqual([undefined, undefined, undefined]);
});

test('replacing gives its room back', () => {
  const { get, read } = rig(NO_INVALIDATION_FEED, 2 * 300);
  for (let i = 0; i < 100; i++) read(1, answer(i, 'Spotify'));
  read(2, answer(1, 'Nike'));
  expect(get(1)).toBeDefined();
});

test('without notifications the view is asked each time', () => {
  const { read, isCurrent } = rig();
  read(1, answer(1));
  expect(isCurrent(1)).toBe(false);
});

test('nothing older than the reader has seen is current, a row that is not there included', () => {
  const { read, isCurrent } = rig(TOLD_ALL);
  read(1, answer(3));
  read(2, null);
  expect([isCurrent(1, 3), isCurrent(1, 4), isCurrent(2, 0), isCurrent(2, 1)]).toEqual([
    true,
    false,
    true,
    false,
  ]);
});

test('changes are asked about since the statement that read the list was sent, or confirmed it last', () => {
  const asked: unknown[] = [];
  const { get, read, isCurrent } = rig({
    isUnchanged: (...about) => {
      asked.push(about);
      return true;
    },
    isInvalidated: () => false,
  });
  const now = performance.now();
  read(7, answer(3), undefined, now - 20);
  isCurrent(7);
  read(7, '', get(7), now - 10);
  // Its answer comes later, but it was asked before.
  read(7, '', get(7), now - 15);
  isCurrent(7);
  expect(asked).toEqual([
    [7, now - 20],
    [7, now - 10],
  ]);
});

test('an invalidated entry is evicted, so that the whole list is asked for', () => {
  let hasChanged = false;
  const { get, read } = rig({ isUnchanged: () => false, isInvalidated: () => hasChanged });
  read(1, answer(3));
  expect(get(1)?.digest).toBe('-73');
  hasChanged = true;
  expect(get(1)).toBeUndefined();
  hasChanged = false;
  expect(get(1)).toBeUndefined();
});

test('an answer that comes behind that to a later question is not cached', () => {
  const { get, read } = rig();
  const asked = performance.now();
  read(1, answer(3), undefined, asked);
  expect(read(1, answer(2), undefined, asked - 1)?.version).toBe(2);
  expect(get(1)?.list?.version).toBe(3);
});

test('a row that took the place of another at the same version is told by its digest', () => {
  const { get, read } = rig();
  const wrong = read(1, '11 10 1.0 []');
  const right = read(1, '12 10 1.0 []');
  expect(right).not.toBe(wrong);
  expect(get(1)).toMatchObject({ digest: '12', list: right });
  read(1, null);
  expect(get(1)).toMatchObject({ digest: null, list: null });
});

test('after its TTL it is asked again, though no notification came', () => {
  let now = 1_000;
  const cache = new ListCache(TOLD_ALL, { monotonic: () => now });
  cache.read(1, 1, answer(1), undefined, cache.now());
  now += CACHE_TTL_MS - 1;
  expect(cache.isCurrent(cache.get(1)!, 0)).toBe(true);
  now += 1;
  expect(cache.isCurrent(cache.get(1)!, 0)).toBe(false);
});

test('an erased seller is evicted, and not cached from an answer that was on its way', () => {
  const { cache, get, read } = rig();
  const before = performance.now();
  for (const id of [1, 2]) read(id, answer(1, 'Secret'));
  cache.evictSeller(1);
  expect([1, 2].map((id) => get(id) !== undefined)).toEqual([false, true]);
  // Right for who asked before.
  expect(read(1, answer(1, 'Secret'), undefined, before)?.clients).toHaveLength(1);
  expect(get(1)).toBeUndefined();
  read(1, answer(2));
  expect(get(1)?.list?.version).toBe(2);
});

test('who cannot report caches nothing for longer than its TTL', () => {
  const { cache, get, read } = rig();
  const now = performance.now();
  read(1, answer(1), undefined, now - CACHE_TTL_MS - 1);
  read(2, answer(1), undefined, now);
  cache.evictOlderThan(CACHE_TTL_MS);
  expect([1, 2].map((id) => get(id) !== undefined)).toEqual([false, true]);
  cache.evictOlderThan(0);
  read(2, answer(1), undefined, now);
  expect(get(2)).toBeUndefined();
});

test('a cache registers with the feed, to be evicted from', () => {
  const registered: unknown[] = [];
  const { cache } = rig({ ...NO_INVALIDATION_FEED, register: (one) => registered.push(one) });
  expect(registered).toEqual([cache]);
});

test('a view that keeps the first clients alone says how many there are', () => {
  const { read } = rig();
  const list = read(1, '-7 3 1.000500 12 [{"id":"1","name":"Spotify [1 2]","logo":null}]');
  expect([list?.version, list?.committedAt, list?.total]).toEqual([3, 1_001, 12]);
  expect(list?.clients.map(({ name }) => name)).toEqual(['Spotify [1 2]']);
});

test('of many sellers those alone are asked about whose entries are not current, with what is cached', async () => {
  const changed = new Set<number>();
  const cache = new ListCache({ isUnchanged: (seller) => !changed.has(seller), isInvalidated: () => false });
  const asked: unknown[] = [];
  const view = new Map([
    [1, answer(1, 'Spotify')],
    [2, answer(1, 'Nike')],
  ]);
  const read = async (sellers: readonly number[], least = (_: number) => 0) => {
    const held = await readManyThroughCache(
      cache,
      sellers,
      { query: async () => [] },
      least,
      async (which, cached) => {
        asked.push([which, cached]);
        return which.map((seller_id) => ({ seller_id, held: view.get(seller_id) ?? null }));
      },
    );
    return [...held].map(([seller, { version }]) => [seller, version]);
  };
  const bothLists = [
    [1, 1],
    [2, 1],
  ];
  expect(await read([1, 2, 3])).toEqual(bothLists);
  expect(await read([1, 2, 3])).toEqual(bothLists);
  expect(asked.splice(0)).toEqual([
    [
      [1, 2, 3],
      [null, null, null],
    ],
  ]);

  changed.add(2);
  view.set(2, answer(2));
  expect(await read([1, 2, 4])).toEqual([
    [1, 1],
    [2, 2],
  ]);
  expect(asked.splice(0)).toEqual([
    [
      [2, 4],
      ['-71', null],
    ],
  ]);

  // Who has seen a newer version of one list is told what the view says of that one.
  expect(await read([1, 3], (seller) => (seller === 1 ? 2 : 0))).toEqual([[1, 1]]);
  expect(asked.splice(0)).toEqual([[[1], ['-71']]]);

  // An erased seller is evicted, and the view is asked again.
  cache.evictSeller(1);
  view.delete(1);
  expect(await read([1])).toEqual([]);
  expect(asked.splice(0)).toEqual([[[1], [null]]]);
});

test('a page that is of another seller now shows the list of that one', async () => {
  const { cache } = rig(TOLD_ALL);
  let owner = 1;
  const visit = async () => {
    const own = { seller_id: owner };
    const held = owner === 1 ? answer(1, 'Spotify') : answer(2, 'Nike');
    const read = await readThroughCache(
      cache,
      7,
      { query: async () => [] },
      () => 0,
      async () => own,
      async () => [{ ...own, held }],
    );
    return [...read!.held].map(([seller, { clients }]) => [seller, clients[0]!.name]);
  };
  for (const _ of ['read', 'cached']) expect(await visit()).toEqual([[1, 'Spotify']]);
  owner = 2;
  for (const _ of ['read', 'cached']) expect(await visit()).toEqual([[2, 'Nike']]);
});

describe('hits', () => {
  /** A page of one seller whose view is asked by hand, at a time that is set. */
  function page(sellers: number) {
    let now = 1_000;
    const cache = new ListCache(TOLD_ALL, { monotonic: () => now });
    const confirming: { statement: Statement; answer: PromiseWithResolvers<unknown[]> }[] = [];
    const db: PageDatabase & { mayLag: boolean } = {
      mayLag: false,
      query: <Row>(statement: Statement) => {
        const answer = Promise.withResolvers<unknown[]>();
        confirming.push({ statement, answer });
        return answer.promise as Promise<Row[]>;
      },
    };
    let asked = 0;
    const visit = (seller_id: number) =>
      readThroughCache(
        cache,
        seller_id,
        db,
        () => 0,
        async () => ({ seller_id }),
        async () => {
          asked += 1;
          return [{ seller_id, held: answer(1) }];
        },
      );
    return {
      cache,
      db,
      confirming,
      visit,
      async visitAll() {
        for (let seller = 1; seller <= sellers; seller++) await visit(seller);
      },
      /** @returns how many visits asked the view since the last time */
      asks: () => {
        const since = asked;
        asked = 0;
        return since;
      },
      pass: (ms: number) => {
        now += ms;
      },
      /** Answers the statement that confirms. */
      async confirm(rows: unknown[] = []) {
        const { statement, answer: told } = confirming.pop()!;
        told.resolve(rows);
        // The cache hears of it in the promises that follow.
        await new Promise(setImmediate);
        return statement.values;
      },
    };
  }
  const NEARLY_OVER = CACHE_TTL_MS - 500;

  test('are confirmed ahead of their TTL in one statement, so that no visit asks for them', async () => {
    const { visit, visitAll, asks, pass, confirm, confirming } = page(3);
    await visitAll();
    await visitAll();
    expect([asks(), confirming.length]).toEqual([3, 0]);
    for (let turn = 0; turn < 5; turn++) {
      pass(NEARLY_OVER);
      await visit(1);
      expect(await confirm()).toEqual([
        [1, 2, 3],
        ['-71', '-71', '-71'],
      ]);
      await visitAll();
    }
    expect([asks(), confirming.length]).toEqual([0, 0]);
    // What nobody visited since is not asked about.
    pass(NEARLY_OVER);
    await visit(2);
    await confirm();
    pass(NEARLY_OVER);
    await visit(2);
    expect(await confirm()).toEqual([[2], ['-71']]);
  });

  test('that the view has otherwise are asked for by their next visit', async () => {
    const { visit, visitAll, asks, pass, confirm } = page(2);
    await visitAll();
    await visitAll();
    pass(NEARLY_OVER);
    await visit(1);
    await confirm([{ position: 2 }]);
    asks();
    await visit(1);
    expect(asks()).toBe(0);
    await visit(2);
    expect(asks()).toBe(1);
  });

  test.each(['a replica answers', 'the statement fails'])('end with their TTL when %s', async (why) => {
    const { db, visit, asks, pass, confirm, confirming } = page(1);
    await visit(1);
    await visit(1);
    pass(NEARLY_OVER);
    await visit(1);
    asks();
    if (why === 'a replica answers') db.mayLag = true;
    else confirming[0]!.answer.reject(new Error('the database is down'));
    await confirm();
    db.mayLag = false;
    pass(CACHE_TTL_MS - NEARLY_OVER);
    await visit(1);
    expect(asks()).toBe(1);
    // Confirming goes on.
    await visit(1);
    pass(NEARLY_OVER);
    await visit(1);
    expect(confirming).toHaveLength(1);
  });

  test('are asked about in one statement at a time, however long it takes, and of many no more than 2,000 at once', async () => {
    const { visitAll, asks, pass, confirm, confirming } = page(2_500);
    await visitAll();
    await visitAll();
    asks();
    pass(NEARLY_OVER);
    await visitAll();
    expect(confirming).toHaveLength(1);
    expect((await confirm())[0]).toHaveLength(2_000);
    await visitAll();
    expect(confirming).toHaveLength(0);
    pass(250);
    await visitAll();
    expect((await confirm())[0]).toHaveLength(500);
    pass(400);
    await visitAll();
    expect([asks(), confirming.length]).toEqual([0, 0]);
  });

  test('that are evicted are not held on to, nor asked about', async () => {
    const { cache, visit, visitAll, pass, confirm } = page(2);
    await visitAll();
    await visitAll();
    cache.evictSeller(2);
    pass(NEARLY_OVER);
    await visit(1);
    expect(await confirm()).toEqual([[1], ['-71']]);
  });

  test('that a later statement asked about are left as it found them', async () => {
    const { cache, visit, pass, confirm } = page(1);
    await visit(1);
    await visit(1);
    pass(NEARLY_OVER);
    await visit(1);
    pass(1);
    cache.read(1, 1, '', cache.get(1), cache.now());
    const { askedAt } = cache.get(1)!;
    await confirm([{ position: 1 }]);
    expect(cache.get(1)!.askedAt).toBe(askedAt);
  });
});
