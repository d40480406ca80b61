/** The rules for consumers of the topic: they can be kept, each fault breaks one, and our projector keeps them all. */

import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { installKafkaCodecs } from '#platform/kafka/install.ts';
import { drain, listen } from '#platform/listen.ts';
import { silentLog } from '#platform/log.ts';
import { startPipeline } from '../../../services/local-stack/pipeline.ts';
import { freePort } from '../../../services/local-stack/ports.ts';
import { runToEnd } from '../../../services/local-stack/process.ts';
import { play } from './play.ts';
import { ACTS, breachOf, messagesOf, RULES, type SellerState, type Sent } from './rules.ts';
import { readState, rowsIn, StateUnreadable } from './state.ts';

installKafkaCodecs(silentLog);

/** What a consumer does with one message and its store. A fault replaces a part. */
const GOOD = {
  isNewer: (held: number, version: number) => held < version,
  isEmptied: (type: string): boolean => type === 'dev.topclients.seller.seller-erased.v1',
  isKnown: (type: string) => /^dev\.topclients\.seller\.[a-z-]+\.v1$/.test(type),
  parse: (value: string) => JSON.parse(value) as { sellerId: number; clients: SellerState['clients'] },
  /** Whether it goes on behind a message that it cannot read. */
  goesOn: true,
  forgetsEmptied: false,
  readsCodec: (_: Sent['codec']) => true,
  readsBetween: (_: number) => true,
  shown: (name: string) => name,
  merges: false,
  isNext: (_held: number, _version: number) => true,
  isRepairTaken: true,
};
type Consumer = typeof GOOD;

/** Runs a consumer in memory, partition after partition. */
function storeOf(consumer: Consumer): ReadonlyMap<number, SellerState> {
  const store = new Map<number, SellerState & { version: number }>();
  const stopped = new Set<number>();
  const stop = (partition: number) => {
    if (!consumer.goesOn) stopped.add(partition);
  };
  for (let act = 0; act < ACTS; act++) {
    for (const { partition, key, value, headers, codec } of messagesOf(act)) {
      if (stopped.has(partition) || !consumer.readsBetween(act)) continue;
      if (!consumer.readsCodec(codec)) continue;
      const type = headers['ce_type']!;
      if (value === null && !consumer.isEmptied(type)) continue;
      const [sellerId, version] = headers['ce_id']!.split('/').map(Number) as [number, number];
      if (!consumer.isKnown(type) || String(sellerId) !== key) {
        stop(partition);
        continue;
      }
      if (type.includes('repaired') && !consumer.isRepairTaken) continue;
      try {
        const event = value === null ? { sellerId, clients: [] } : consumer.parse(value);
        if (event.sellerId !== sellerId || !Array.isArray(event.clients))
          throw new Error('no event of the seller');
        const held = store.get(sellerId);
        if (!consumer.isNewer(held?.version ?? 0, version) || !consumer.isNext(held?.version ?? 0, version))
          continue;
        const clients = event.clients.map((client) => ({ ...client, name: consumer.shown(client.name) }));
        const others = consumer.merges
          ? (held?.clients ?? []).filter(({ id }) => !clients.some((one) => one.id === id))
          : [];
        store.set(sellerId, { sellerId, version, clients: [...clients, ...others] });
        if (clients.length === 0 && consumer.forgetsEmptied) store.delete(sellerId);
      } catch {
        stop(partition);
      }
    }
  }
  return store;
}
const brokenBy = (fault: Partial<Consumer>) => {
  const shown = storeOf({ ...GOOD, ...fault });
  return RULES.filter((rule) => breachOf(rule, shown) !== null).map(({ name }) => name);
};

test('a consumer that follows the contract keeps every rule', () => {
  expect(brokenBy({})).toEqual([]);
});

const FAULTS: Readonly<Record<string, readonly [rule: RegExp, fault: Partial<Consumer>]>> = {
  'takes the first list for good': [/^the newest list/, { isNewer: (held) => held === 0 }],
  'adds clients and takes none away': [/^a list is whole/, { merges: true }],
  'waits for the next version': [/^versions with gaps/, { isNext: (held, version) => version === held + 1 }],
  'takes whatever comes last': [/^a history that comes again/, { isNewer: () => true }],
  'takes older versions': [/^an older version behind/, { isNewer: (held, version) => held !== version }],
  'trusts the order of partitions': [
    /^the order between partitions/,
    { isNewer: (_, version) => version > 1 },
  ],
  'knows no tombstones': [/^the tombstone alone/, { isEmptied: () => false }],
  'forgets erased sellers': [/^a late copy of an erased list/, { forgetsEmptied: true }],
  'hides who was erased once': [
    /^an erased seller who comes back/,
    { isNewer: (held, version) => held < version && held !== 2 },
  ],
  'passes over repairs': [/^a repair is taken/, { isRepairTaken: false }],
  'takes every null for an erasure': [/^null values that are no erasure/, { isEmptied: () => true }],
  'refuses members that it does not know': [
    /^members and headers/,
    {
      parse: (value) => {
        const event = GOOD.parse(value);
        if (Object.keys(event).length > 5) throw new Error('unknown members');
        return event;
      },
    },
  ],
  'reads by the order of members': [
    /^members may come in another order/,
    {
      parse: (value) => {
        if (!value.startsWith('{"sellerId":')) throw new Error('no seller');
        return GOOD.parse(value);
      },
    },
  ],
  'stops at what it cannot read': [/^what is no event at all/, { goesOn: false }],
  'reads versions of tomorrow': [
    /^a message for a newer reader/,
    { isKnown: () => true, parse: (value) => ({ ...GOOD.parse(value), clients: [], sellerId: 150 }) },
  ],
  'escapes names': [/^names come through/, { shown: (name) => name.replaceAll('<', '&lt;') }],
  'knows gzip alone': [
    /^batches are read in every compression/,
    { readsCodec: (codec) => codec === 'none' || codec === 'gzip' },
  ],
  'keeps the first of a batch': [
    /^many versions of one seller/,
    { isNewer: (held, version) => held < version && held < 100 },
  ],
  'begins at the end after a restart': [/^after kill -9/, { readsBetween: (act) => act < 2 }],
};

test.each(Object.entries(FAULTS))('a consumer that %s breaks a rule', (_, [rule, fault]) => {
  expect(brokenBy(fault)).toContainEqual(expect.stringMatching(rule));
});

test.each([
  ['[{"sellerId": 7}]', /row 1 is not .*clients/],
  ['{"sellerId":7,"clients":[]}\n{"sellerId":7,"clients":[]}', /seller 7 has two rows/],
  ['<html>', /neither a JSON array nor one JSON object a line/],
])('a state that cannot be read is told: %s', (text, why) => {
  expect(() => rowsIn(text, 'there')).toThrow(StateUnreadable);
  expect(() => rowsIn(text, 'there')).toThrow(why);
});

test('where there is no state, what to change is told', async () => {
  await expect(readState('/nowhere/rows')).rejects.toThrow('STATE=/nowhere/rows cannot be read');
  const server = createServer((_, res) => void res.writeHead(503).end());
  const at = `http://127.0.0.1:${await listen(server, 0, '127.0.0.1')}/state`;
  await expect(readState(at)).rejects.toThrow('answers 503');
  await drain(server);
  await expect(readState(at)).rejects.toThrow('does not answer');
});

test('our projector keeps every rule, on a real Kafka', async () => {
  const pipeline = await startPipeline({ partitions: 3 });
  try {
    let projector: Awaited<ReturnType<typeof pipeline.projector>> | null = null;
    let starts = 0;
    const verdicts = await play(
      pipeline.kafka.bootstrap,
      {
        async start() {
          starts += 1;
          projector = await pipeline.projector(`projector-${starts}`);
        },
        async kill() {
          const { exited } = projector!;
          projector!.kill('SIGKILL');
          await exited;
        },
        async state() {
          const { rows } = await pipeline.view.query<{
            seller_id: number;
            version: number;
            clients: SellerState['clients'];
          }>('select seller_id, version, clients from top_clients');
          return new Map(rows.map(({ seller_id: sellerId, ...row }) => [sellerId, { sellerId, ...row }]));
        },
      },
      { patienceMs: 60_000, log: () => {} },
    );
    expect(verdicts.filter(({ breach }) => breach !== null)).toEqual([]);
    expect(verdicts).toHaveLength(RULES.length + 1);
  } finally {
    await pipeline.stop();
  }
}, 120_000);

const MAIN = join(import.meta.dirname, 'main.ts');
const NODE = process.execPath;

test('the command tries another consumer, and says what a missing setting is for', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'consumer-'));
  try {
    const port = await freePort();
    const said = await runToEnd(NODE, [MAIN], {
      env: {
        CONSUMER: `exec ${NODE} ${join(import.meta.dirname, 'example.ts')}`,
        STATE: `http://127.0.0.1:${port}/`,
        STORE: join(folder, 'store.sqlite'),
        PORT: String(port),
      },
    });
    expect(said).toContain(`all ${RULES.length + 1} rules were kept`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  await expect(runToEnd(NODE, [MAIN], { env: { CONSUMER: '', STATE: '' } })).rejects.toThrow(
    /STATE: where its rows are read/,
  );
}, 180_000);
