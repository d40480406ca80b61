/** Ten thousand messages that are no event of ours, generated: each is parked or ignored, and nobody waits for them. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Client } from '#contracts/client.ts';
import { cloudEventType, type SellerEvent } from '#contracts/events.ts';
import { type Pipeline, startPipeline } from '../../services/local-stack/pipeline.ts';
import type { RunningRole } from '../../services/local-stack/run-role.ts';
import { until } from '../../services/local-stack/until.ts';
import { produceByHand } from '../support/topic.ts';

const COUNT = 10_000;
const SEED = 20_261_127;
/** Broken messages name these; what is unusual and good comes from sellers of their own, above. */
const BROKEN_SELLERS = 200;
const GOOD_FROM = 1_001;

interface SampleMessage {
  readonly key: string;
  readonly value: string | Buffer | null;
  readonly headers: Readonly<Record<string, string>>;
}
interface Sample extends SampleMessage {
  readonly fate: 'parked' | 'ignored' | 'applied';
}

const OURS = { ce_type: cloudEventType('client-added') };
const client: Client = {
  id: '6f9619ff-8b86-4d01-b42d-00cf4fc964ff',
  name: 'Northwind Traders',
  industry: 'Food',
  description: 'Launch film',
  logo: 'spotify',
  from: '2021-03',
  to: null,
};
const eventOf = (sellerId: number): SellerEvent => ({
  sellerId,
  version: 1,
  committedAt: '2026-11-27T09:00:00.000Z',
  change: { type: 'client-added', client: { ...client }, position: 0 },
  clients: [{ ...client }],
});

type Path = readonly (string | number)[];
/** The event's text with another value at the path; `undefined` leaves the member out. */
function altered(sellerId: number, path: Path, value: unknown): string {
  const event = eventOf(sellerId) as unknown as Record<string | number, unknown>;
  let parent = event;
  for (const member of path.slice(0, -1)) parent = parent[member] as Record<string | number, unknown>;
  parent[path.at(-1)!] = value;
  return JSON.stringify(event);
}

const seller = fc.integer({ min: 1, max: BROKEN_SELLERS });
const broken = (key: number, value: string | Buffer, headers: SampleMessage['headers'] = OURS): Sample => ({
  key: String(key),
  value,
  headers,
  fate: 'parked',
});

const MEMBERS: Record<string, { paths: readonly Path[]; wrong: readonly unknown[] }> = {
  counts: {
    paths: [['sellerId'], ['version']],
    wrong: [null, '1', 1.5, 0, -1, 1e308, 2 ** 53, true, [], {}],
  },
  texts: {
    paths: ['id', 'name', 'industry', 'description'].map((name) => ['clients', 0, name]),
    wrong: [null, 7, true, [], {}, 'a\u0000b', 'a\ud800b', 'x'.repeat(501)],
  },
  optional: {
    paths: ['logo', 'from', 'to'].map((name) => ['clients', 0, name]),
    wrong: [7, false, [], {}, '', '2021-13', '../../etc/passwd'],
  },
  instant: { paths: [['committedAt']], wrong: [null, 0, '', 'yesterday', '2026-13-01T00:00:00Z', {}] },
  change: { paths: [['change']], wrong: [null, 'seller-erased', [], {}, { type: 'drop-table' }, 7] },
  clients: { paths: [['clients']], wrong: [null, {}, 'none', 7, [null], [[]], [{}]] },
};
const wrongType = fc
  .constantFrom(...Object.values(MEMBERS))
  .chain(({ paths, wrong }) => fc.tuple(seller, fc.constantFrom(...paths), fc.constantFrom(...wrong)))
  .map(([sellerId, path, value]) => broken(sellerId, altered(sellerId, path, value)));
const missing = fc
  .tuple(seller, fc.constantFrom(...Object.values(MEMBERS).flatMap(({ paths }) => paths)))
  .map(([sellerId, path]) => broken(sellerId, altered(sellerId, path, undefined)));
const cut = fc
  .tuple(seller, fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }))
  .map(([sellerId, share]) => {
    const text = JSON.stringify(eventOf(sellerId));
    return broken(sellerId, text.slice(0, Math.floor(text.length * share)));
  });
const noObject = fc
  .tuple(
    seller,
    fc.oneof(
      fc.json(),
      fc.string(),
      fc.constantFrom('null', '0', '""', '[]', '{}', '{"__proto__":{"version":1}}', 'NaN'),
    ),
  )
  .map(([sellerId, text]) => broken(sellerId, text));
const bytes = fc
  .tuple(seller, fc.uint8Array({ minLength: 1, maxLength: 200 }))
  .map(([sellerId, some]) => broken(sellerId, Buffer.from(some)));
const notUtf8 = fc
  .tuple(
    seller,
    fc.constantFrom([0xff], [0xc3], [0xe2, 0x82], [0xed, 0xa0, 0x80], [0xf8, 0x88, 0x80, 0x80, 0x80], [0]),
  )
  .map(([sellerId, piece]) => {
    const text = JSON.stringify(eventOf(sellerId));
    // In the middle of a name; all else is well.
    const at = text.lastIndexOf('wind Traders');
    return broken(
      sellerId,
      Buffer.concat([Buffer.from(text.slice(0, at)), Buffer.from(piece), Buffer.from(text.slice(at))]),
    );
  });
const anotherVersion = fc
  .tuple(
    seller,
    fc.oneof(
      fc
        .integer({ min: 2, max: 1_000_000 })
        .map((version) => `dev.topclients.seller.client-added.v${version}`),
      fc.constantFrom(
        '',
        'v1',
        'dev.topclients.seller.client-added',
        'dev.topclients.seller.client-added.v0',
      ),
      fc.string(),
    ),
  )
  .map(([sellerId, type]) => broken(sellerId, JSON.stringify(eventOf(sellerId)), { ce_type: type }));
const anothersKey = fc
  .tuple(seller, seller)
  .filter(([one, other]) => one !== other)
  .map(([one, other]) => broken(one, JSON.stringify(eventOf(other))));
const noSellersKey = fc
  .constantFrom(
    '',
    '0',
    '-1',
    '1.5',
    ' 7',
    '7 ',
    'seven',
    '0x7',
    '9007199254740993',
    'é',
    '\u0000',
    '__proto__',
  )
  .map((key): Sample => ({ ...broken(7, JSON.stringify(eventOf(7))), key }));
const deep = fc
  .tuple(seller, fc.integer({ min: 10_000, max: 150_000 }), fc.constantFrom('[', '{"a":'))
  .map(([sellerId, depth, opening]) =>
    broken(sellerId, `${opening.repeat(depth)}0${(opening === '[' ? ']' : '}').repeat(depth)}`),
  );
const huge = fc
  .tuple(seller, fc.integer({ min: 100_000, max: 900_000 }))
  .map(([sellerId, length]) =>
    broken(sellerId, altered(sellerId, ['clients', 0, 'name'], 'x'.repeat(length))),
  );
const tombstone = seller.map(
  (sellerId): Sample => ({ key: String(sellerId), value: null, headers: {}, fate: 'ignored' }),
);
/** Well-formed in a way of its own: readers ignore members they do not know, and JSON may be laid out as one likes. */
const unusual = fc
  .tuple(fc.integer({ min: GOOD_FROM, max: GOOD_FROM + 500 }), fc.json({ maxDepth: 3 }), fc.boolean())
  .map(
    ([sellerId, more, laidOut]): Sample => ({
      key: String(sellerId),
      value: JSON.stringify({ unknown: JSON.parse(more), ...eventOf(sellerId) }, null, laidOut ? 2 : 0),
      headers: laidOut ? OURS : {},
      fate: 'applied',
    }),
  );

const samples = fc.sample(
  fc.oneof(
    { arbitrary: wrongType, weight: 250 },
    { arbitrary: missing, weight: 100 },
    { arbitrary: cut, weight: 100 },
    { arbitrary: noObject, weight: 100 },
    { arbitrary: bytes, weight: 100 },
    { arbitrary: notUtf8, weight: 80 },
    { arbitrary: anotherVersion, weight: 80 },
    { arbitrary: anothersKey, weight: 50 },
    { arbitrary: noSellersKey, weight: 40 },
    { arbitrary: deep, weight: 3 },
    { arbitrary: huge, weight: 3 },
    { arbitrary: tombstone, weight: 40 },
    { arbitrary: unusual, weight: 54 },
  ),
  { seed: SEED, numRuns: COUNT },
);

let pipeline: Pipeline;
let projector: RunningRole;

beforeAll(async () => {
  pipeline = await startPipeline({ partitions: 4 });
  projector = await pipeline.projector();
}, 60_000);
afterAll(() => pipeline?.stop(), 60_000);

async function produce(messages: readonly SampleMessage[]): Promise<void> {
  const requests: SampleMessage[][] = [];
  for (let at = 0; at < messages.length; at += 200) {
    // One request a message where it is large: a batch is held against the same limit.
    const some = Object.groupBy(messages.slice(at, at + 200), ({ value }) =>
      (value?.length ?? 0) > 5_000 ? 'large' : 'small',
    );
    requests.push(some.small ?? [], ...(some.large ?? []).map((one) => [one]));
  }
  await produceByHand(pipeline.kafka.bootstrap, ...requests);
}

const RESULTS = ['applied', 'duplicate', 'stale', 'tombstone', 'unversioned', 'moved', 'parked'];
const counted = async () => {
  const counts = await Promise.all(
    RESULTS.map((result) => projector.metric('topclients_projector_events_total', `result="${result}"`)),
  );
  return Object.fromEntries(RESULTS.map((result, at) => [result, counts[at]!]));
};
const sum = (counts: Record<string, number>) => Object.values(counts).reduce((a, b) => a + b, 0);

test(`${COUNT} malformed messages are parked or ignored, each counted, and the projector goes on`, async () => {
  const before = projector.pid;
  await produce(samples);
  const last = GOOD_FROM + 1_000;
  await produce([{ key: String(last), value: JSON.stringify(eventOf(last)), headers: OURS }]);
  await until('all are dealt with', async () => sum(await counted()) >= COUNT + 1, 60_000);
  const counts = await counted();
  expect(sum(counts)).toBe(COUNT + 1);
  // None of the tombstones tells its version.
  expect(counts['unversioned']).toBe(samples.filter(({ fate }) => fate === 'ignored').length);
  expect(projector.pid).toBe(before);
  expect(await projector.running).toBe(true);

  const { rows: applied } = await pipeline.view.query('select seller_id from top_clients order by seller_id');
  const good = new Set(samples.filter(({ fate }) => fate === 'applied').map(({ key }) => Number(key)));
  expect(applied.map((row) => row.seller_id)).toEqual([...good, last].sort((a, b) => a - b));

  const { rows: parked } = await pipeline.view.query<{
    seller_id: number | null;
    version: number | null;
    key: string;
    reason: string;
  }>('select seller_id, version, key, reason from parked');
  const toPark = samples.filter(({ fate }) => fate === 'parked');
  // PostgreSQL's text holds no NUL.
  const keys = new Set(toPark.map(({ key }) => key.replaceAll('\u0000', '\ufffd')));
  expect(new Set(parked.map(({ key }) => key))).toEqual(keys);
  const named = parked.filter(({ seller_id }) => seller_id !== null);
  expect(new Set(named.map(({ seller_id }) => seller_id)).size).toBe(BROKEN_SELLERS);
  // Of each the newest, and the latest that tells no version.
  const kinds = new Set(named.map(({ seller_id, version }) => `${seller_id} ${version === null}`));
  expect(kinds.size).toBe(named.length);
  expect(parked.every(({ reason }) => reason.length > 10)).toBe(true);
}, 120_000);

test('redrive applies none of them', async () => {
  const { rows } = await pipeline.view.query<{ parked: number }>(
    'select count(*)::int as parked from parked',
  );
  const said = await pipeline.runRole('redrive', {
    TC_PAGE: 'gig',
    TC_DATABASE_URL: pipeline.postgres.url('gig'),
  });
  expect(said).toContain('"redriven"');
  const report = JSON.parse(said.split('\n').find((line) => line.includes('"redriven"'))!);
  expect(report).toMatchObject({ applied: 0, superseded: 0, remaining: rows[0]!.parked });
}, 60_000);
