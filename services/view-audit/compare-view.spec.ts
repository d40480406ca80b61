import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  type CompareOptions,
  type Comparison,
  compareView,
  findDifferences,
  type Source,
  type Topic,
  type Truth,
  type View,
} from './compare-view.ts';

/** What a row says, in short. */
interface Row {
  version: number;
  says: string;
}
const saying = (sellerId: number, version: number, erased: boolean) =>
  erased ? '' : `list ${version} of ${sellerId}`;
const PARTITIONS = 2;

/**
 * A source, a relay, a topic and a projector in memory. Whenever a port is asked, the world first goes on by some
 * steps, so that every interleaving of the comparison with writes, relaying, applying and checkpoints can come up.
 */
class World {
  readonly sellers = new Map<number, { version: number; erased: boolean }>();
  readonly rows = new Map<number, Row>();
  readonly parked: number[] = [];
  readonly #outbox: Array<{ id: number; sellerId: number; version: number; erased: boolean }> = [];
  readonly #partitions: Array<Array<{ sellerId: number; version: number; erased: boolean }>> = [];
  readonly #applied: number[] = [];
  readonly #stored: number[] = [];
  #lastId = 0;
  /** Called before each answer of a port. */
  goOn: () => void = () => this.settle();

  constructor() {
    for (let partition = 0; partition < PARTITIONS; partition++) {
      this.#partitions.push([]);
      this.#applied.push(0);
      this.#stored.push(0);
    }
  }

  write(sellerId: number, erased = false): void {
    const version = (this.sellers.get(sellerId)?.version ?? 0) + 1;
    this.sellers.set(sellerId, { version, erased });
    this.#outbox.push({ id: ++this.#lastId, sellerId, version, erased });
  }
  relay(): void {
    const one = this.#outbox.shift();
    if (one) this.#partitions[one.sellerId % PARTITIONS]!.push(one);
  }
  apply(partition: number): void {
    const one = this.#partitions[partition]![this.#applied[partition]!];
    if (!one) return;
    this.#applied[partition]! += 1;
    const { sellerId, version, erased } = one;
    if ((this.rows.get(sellerId)?.version ?? 0) >= version) return;
    this.rows.set(sellerId, { version, says: saying(sellerId, version, erased) });
  }
  checkpoint(): void {
    for (const partition of this.#applied.keys()) this.#stored[partition] = this.#applied[partition]!;
  }
  settle(): void {
    while (this.#outbox.length > 0) this.relay();
    for (const [partition, { length }] of this.#partitions.entries()) {
      while (this.#applied[partition]! < length) this.apply(partition);
    }
    this.checkpoint();
  }

  readonly source: Source = {
    next: async (after, limit) => {
      this.goOn();
      return [...this.sellers.keys()]
        .filter((sellerId) => sellerId > after)
        .sort((a, b) => a - b)
        .slice(0, limit)
        .map((sellerId) => this.#truth(sellerId)!);
    },
    of: async (sellerIds) => {
      this.goOn();
      return sellerIds.flatMap((sellerId) => this.#truth(sellerId) ?? []);
    },
    newestUnsent: async () => {
      this.goOn();
      return this.#outbox.at(-1)?.id ?? null;
    },
    isSentUpTo: async (mark) => {
      this.goOn();
      return this.#outbox.every(({ id }) => id > mark);
    },
  };

  readonly view: View = {
    compareRange: async (truths, after, through) => {
      this.goOn();
      return this.#compare(truths, (sellerId) => sellerId > after && sellerId <= through);
    },
    compareSellers: async (truths, sellerIds) => {
      this.goOn();
      return this.#compare(truths, (sellerId) => sellerIds.includes(sellerId));
    },
    checkpoints: async () => {
      this.goOn();
      return new Map(this.#stored.entries());
    },
    parked: async () => this.parked.map((sellerId) => ({ sellerId, version: null, isOutdated: false })),
  };

  readonly topic: Topic = {
    ends: async () => {
      this.goOn();
      return new Map(
        this.#partitions.map(({ length }, partition) => [partition, { first: 0, next: length }]),
      );
    },
  };

  compare(options: Partial<CompareOptions> = {}) {
    return compareView(this.source, this.view, this.topic, {
      catchUpMs: 10_000,
      lookEveryMs: 0,
      sellersAtATime: 3,
      ...options,
    });
  }

  #truth(sellerId: number): Truth | null {
    const seller = this.sellers.get(sellerId);
    return seller ? { sellerId, ...seller, committedAt: '', clients: [] } : null;
  }

  #compare(truths: readonly Truth[], isAsked: (sellerId: number) => boolean): Comparison {
    const wanted = new Map(truths.map((truth) => [truth.sellerId, truth]));
    const asked = new Set([...wanted.keys(), ...[...this.rows.keys()].filter(isAsked)]);
    let digest = 0n;
    const differences: Comparison['differences'][number][] = [];
    for (const sellerId of asked) {
      const truth = wanted.get(sellerId);
      const row = this.rows.get(sellerId);
      const expected = truth ? saying(sellerId, truth.version, truth.erased) : null;
      const digests = { expected: digestOf(truth, expected), held: digestOf(row, row?.says ?? null) };
      if (truth && row && truth.version === row.version && expected === row.says) digest += digests.held;
      else
        differences.push({ sellerId, expected: truth?.version ?? null, held: row?.version ?? null, digests });
    }
    return { digest, differences };
  }
}

const digestOf = (row: { version: number } | undefined, says: string | null): bigint =>
  row ? BigInt(`0x${Buffer.from(`${row.version}${says}`).toString('hex')}`) : 0n;

/** Sellers 1 to n, each with two changes, all applied. */
function settled(n: number): World {
  const world = new World();
  for (let sellerId = 1; sellerId <= n; sellerId++) for (const _ of 'ab') world.write(sellerId);
  world.settle();
  return world;
}

test('a view that has everything agrees, whatever the number of sellers', async () => {
  for (const n of [0, 1, 2, 3, 4, 6, 7]) {
    const verdict = await settled(n).compare();
    expect(verdict).toMatchObject({ sellers: n, differing: 0, examples: [], unsettled: 0, caughtUp: true });
    expect(verdict.digest.view).toBe(verdict.digest.source);
  }
});

test.each<[string, (world: World) => void]>([
  ['a row that is absent', ({ rows }) => rows.delete(5)],
  [
    'a row of the same version that says something else',
    ({ rows }) => rows.set(5, { version: 2, says: 'x' }),
  ],
  ['a row of an older version', ({ rows }) => rows.set(5, { version: 1, says: 'list 1 of 5' })],
  ['a row that is newer than the source', ({ rows }) => rows.set(5, { version: 3, says: 'list 3 of 5' })],
  ['a row of a seller the source does not know', ({ rows }) => rows.set(99, { version: 1, says: 'x' })],
  ['a row below every seller of the source', ({ rows }) => rows.set(-3, { version: 1, says: 'x' })],
  ['a parked message', ({ parked }) => parked.push(5)],
])('%s is one seller who differs', async (_, spoil) => {
  const world = settled(7);
  spoil(world);
  const verdict = await world.compare();
  expect(verdict).toMatchObject({ sellers: 7, differing: 1, caughtUp: true });
  expect(verdict.examples).toHaveLength(1);
  if (world.parked.length === 0) expect(verdict.digest.view).not.toBe(verdict.digest.source);
});

test('a seller with a wrong row and a parked message counts once', async () => {
  const world = settled(3);
  world.rows.delete(2);
  world.parked.push(2);
  expect(await world.compare()).toMatchObject({ differing: 1, examples: [2] });
});

test('an erased seller may be absent, and may not be there with the list', async () => {
  const world = settled(3);
  world.write(1, true);
  world.write(2, true);
  world.settle();
  world.rows.delete(1);
  expect(await world.compare()).toMatchObject({ differing: 0 });
  world.rows.set(2, { version: 3, says: 'list 2 of 2' });
  expect(await world.compare()).toMatchObject({ differing: 1, examples: [2] });
});

test('a view that does not catch up is said not to have, and what is late counts', async () => {
  const world = settled(3);
  world.goOn = () => {};
  world.write(2);
  expect(await world.compare({ catchUpMs: 20 })).toMatchObject({
    differing: 1,
    examples: [2],
    caughtUp: false,
  });
  world.relay();
  expect(await world.compare({ catchUpMs: 20 })).toMatchObject({ differing: 1, caughtUp: false });
});

test('a partition that was added counts from its first message on, though the view has no checkpoint of it', async () => {
  const world = settled(4);
  const all = await world.view.checkpoints();
  const known = new Map([...all].filter(([partition]) => partition === 0));
  const before = { ...world.view, checkpoints: async () => known };
  const options = { catchUpMs: 0, lookEveryMs: 0 };
  expect(await compareView(world.source, before, world.topic, options)).toMatchObject({ caughtUp: false });
  const empty = new Map([...(await world.topic.ends()), [1, { first: 0, next: 0 }]]);
  const grown = { ends: async () => empty };
  expect(await compareView(world.source, before, grown, options)).toMatchObject({ caughtUp: true });
});

test('the examples are ten at most', async () => {
  const world = settled(30);
  world.rows.clear();
  const verdict = await world.compare();
  expect(verdict.differing).toBe(30);
  expect(verdict.examples).toHaveLength(10);
  expect(verdict.digest.view).toBe('0000000000000000');
});

test('a seller who never stops changing is neither good nor bad', async () => {
  const world = settled(3);
  world.goOn = () => {
    world.write(2);
    world.settle();
  };
  expect(await world.compare()).toMatchObject({ differing: 0, unsettled: 1, caughtUp: true });
});

test('an aborted comparison throws the reason', async () => {
  const world = settled(3);
  const ended = new AbortController();
  ended.abort(new Error('was stopped'));
  await expect(world.compare({ signal: ended.signal })).rejects.toThrow('was stopped');
});

test('in any interleaving with writes nothing is alarmed about, and what was spoilt is found', async () => {
  const SELLERS = 9;
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.integer({ min: 1, max: SELLERS }), { maxLength: 4 }),
      fc.array(fc.constantFrom('drop', 'corrupt', 'age', 'advance'), { minLength: 4, maxLength: 4 }),
      fc.array(fc.nat({ max: 15 }), { minLength: 20, maxLength: 60 }),
      async (spoilt, how, steps) => {
        const world = settled(SELLERS);
        world.write(SELLERS, true);
        world.settle();
        for (const [i, sellerId] of spoilt.entries()) {
          const { version, says } = world.rows.get(sellerId)!;
          const erased = says === '';
          switch (how[i]) {
            case 'drop':
              if (!erased) world.rows.delete(sellerId);
              else world.rows.set(sellerId, { version, says: 'x' });
              break;
            case 'corrupt':
              world.rows.set(sellerId, { version, says: 'x' });
              break;
            case 'age':
              world.rows.set(sellerId, { version: version - 1, says: 'x' });
              break;
            default:
              world.rows.set(sellerId, { version: version + 100, says: 'x' });
          }
        }
        // Writes heal what was spoilt, so those sellers keep quiet; the writes end, as the steps are counted.
        const writers = Array.from({ length: SELLERS + 3 }, (_, i) => i + 1).filter(
          (sellerId) => !spoilt.includes(sellerId),
        );
        let at = 0;
        world.goOn = () => {
          for (let n = 0; n < 3; n++) {
            // Relaying is faster than applying, so that what was sent waits on the topic.
            const step = at < steps.length ? steps[at++]! : 8 + (at++ % 8);
            if (step < 8) world.write(writers[(step * 7 + at) % writers.length]!, step === 0);
            else if (step < 13) world.relay();
            else if (step < 15) world.apply(step % PARTITIONS);
            else world.checkpoint();
          }
        };
        const verdict = await world.compare({ rounds: 50 });
        expect(verdict.caughtUp).toBe(true);
        expect(new Set(verdict.examples)).toEqual(new Set(spoilt));
        expect(verdict.digest.view === verdict.digest.source).toBe(spoilt.length === 0);
      },
    ),
    { numRuns: 100 },
  );
});

test('who gives up compares nothing with a view that is late, and keeps no more than it wants to', async () => {
  const world = settled(30);
  const find = (givesUpAt: number, catchUpMs = 10_000) =>
    findDifferences(world.source, world.view, world.topic, {
      catchUpMs,
      lookEveryMs: 0,
      sellersAtATime: 3,
      givesUpAt,
    });
  world.rows.clear();
  const some = await find(5);
  expect(some).toMatchObject({ complete: false, caughtUp: true, sellers: 6 });
  expect([...some.differences.keys()]).toEqual([1, 2, 3, 4, 5, 6]);
  expect(await find(100)).toMatchObject({ complete: true, sellers: 30 });
  world.goOn = () => {};
  world.write(2);
  expect(await find(100, 20)).toMatchObject({ complete: false, caughtUp: false, sellers: 0 });
});

test('it waits after each range but the last, by how many sellers it had', async () => {
  const world = settled(7);
  const waited: number[] = [];
  await world.compare({ pace: async (sellers) => void waited.push(sellers) });
  expect(waited).toEqual([3, 3]);
});
