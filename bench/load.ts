/** Sellers, and the source of truth's writes for them. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '#contracts/client.ts';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { openKafka } from '#platform/kafka/client.ts';
import { silentLog } from '#platform/log.ts';
import { openPool, type Pool } from '#platform/postgres.ts';
import { bucketOf } from '../services/contracts/bucket.ts';
import { encodeEvent } from '../services/contracts/event-codec.ts';
import { type RelayMessage, toMessage } from '../services/outbox-relay/message.ts';
import { LIMITS } from '../services/outbox-relay/shard.ts';
import { addBareEvents, addBareStates } from '../services/top-clients/adapters/postgres/bulk-writes.ts';
import { readVersions } from '../services/top-clients/adapters/postgres/read-states.ts';
import { recordEvent } from '../services/top-clients/adapters/postgres/record-event.ts';

const NAMES = ['Northwind Traders', 'Contoso', 'Spotify'];

/** One client of a list of three; such a list is 600 bytes of JSON. */
const client = (id: string, name: string, description: string): Client => ({
  id,
  name,
  industry: 'Food and drink',
  description,
  logo: 'spotify',
  from: '2021-03',
  to: '2022-05',
});
const describe = () => `Launch film and cut-downs, ${Math.random().toString(36).slice(2, 10)}`;

export const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

/** A seller has the same clients in every run. */
const clientId = (sellerId: number, at: number) =>
  `00000000-0000-4000-8000-${String(sellerId * 10 + at).padStart(12, '0')}`;
export const listOf = (sellerId: number, clients = NAMES.length): Client[] =>
  Array.from({ length: clients }, (_, at) =>
    client(clientId(sellerId, at), NAMES[at % NAMES.length]!, describe()),
  );

/** An outbox row as the source writes it, without the id. */
export const outboxRow = (sellerId: number, version: number) => {
  const clients = listOf(sellerId);
  const now = new Date();
  const committedAt = now.toISOString();
  return {
    bucket: bucketOf(sellerId),
    sellerId,
    version,
    type: 'client-updated',
    committedAt: now.getTime(),
    traceparent: TRACEPARENT,
    replaces: null,
    value: encodeEvent({
      sellerId,
      version,
      committedAt,
      change: { type: 'client-updated', client: clients[0]! },
      clients,
    }),
  };
};

/** Gives `sellers` a list each, at version 1, only in the state. */
export async function seedSellers(source: Pool, sellers: number): Promise<void> {
  for (let first = 1; first <= sellers; first += 5_000) {
    const ids = Array.from({ length: Math.min(5_000, sellers - first + 1) }, (_, i) => first + i);
    await addBareStates(
      source,
      ids.map((sellerId) => ({ sellerId, clientsJson: JSON.stringify(listOf(sellerId)) })),
    );
  }
}

/** Fills the outbox with events, in turn for all sellers, with consecutive versions for each. */
export async function fillOutbox(
  source: Pool,
  events: number,
  sellers: number,
  firstVersion: number,
): Promise<void> {
  let previous = Promise.resolve();
  for (let first = 0; first < events; first += 5_000) {
    // While the server writes those before.
    const rows = Array.from({ length: Math.min(5_000, events - first) }, (_, i) =>
      outboxRow(((first + i) % sellers) + 1, firstVersion + Math.floor((first + i) / sellers)),
    );
    await previous;
    previous = addBareEvents(source, rows, TRACEPARENT);
  }
  await previous;
}

/**
 * The relay's batches of one event a seller, at version 1. Each is made when it is asked for: those of a million sellers
 * would take gigabytes together, and most of the time would go into collecting them.
 */
export function* relayBatches(sellers: number): Generator<RelayMessage[]> {
  for (let first = 0; first < sellers; first += LIMITS.rowsPerBatch) {
    yield Array.from({ length: Math.min(LIMITS.rowsPerBatch, sellers - first) }, (_, i) =>
      toMessage({ id: first + i, partition: null, ...outboxRow(first + i + 1, 1) }, Date.now()),
    );
  }
}

/** Fills the topic with these batches. */
export async function fillTopic(bootstrap: string, sellers: number): Promise<void> {
  const kafka = openKafka('bench', { brokers: [bootstrap] }, silentLog);
  const producer = kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  for (const messages of relayBatches(sellers))
    await producer.send({ topic: SELLER_EVENTS.topic, messages: messages as never, acks: -1 });
  await producer.disconnect();
}

export interface Written {
  readonly sellerId: number;
  readonly version: number;
  /** `performance.now()` when the commit had returned. */
  readonly at: number;
}

/** Writers on a database, for the duration of a measurement. */
export interface Load {
  /**
   * Writes at a steady rate for some seconds.
   * @param written called for every commit
   * @returns how many were written, and the longest time that a write was late, in ms (0 when the rate was kept)
   */
  write(
    perSecond: number,
    seconds: number,
    written?: (one: Written) => void,
  ): Promise<{ writes: number; longestWaitMs: number }>;
  /** Writes every seller once, so that views have all of them. */
  writeEach(): Promise<void>;
  close(): Promise<void>;
}

export const WRITERS = 8;

export const openWriterPool = (url: string): Pool =>
  openPool(
    {
      url,
      applicationName: 'bench-writer',
      maximum: WRITERS,
      statementTimeoutMs: 30_000,
      connectTimeoutMs: 30_000,
    },
    silentLog,
  );

/**
 * The source's transaction in one statement. The source itself takes two round trips, because it decides in between. At a
 * thousand a second, two would take half of this machine, and only the pipeline after the commit is measured here.
 */
export async function writeList(
  pool: Pool,
  sellerId: number,
  version: number,
  clients: readonly Client[],
): Promise<Written> {
  await recordEvent(pool, {
    sellerId,
    version,
    type: 'client-updated',
    changeJson: JSON.stringify({ type: 'client-updated', client: clients[0]! }),
    clientsJson: JSON.stringify(clients),
    erased: false,
    committedAt: new Date().toISOString(),
    traceparent: TRACEPARENT,
  });
  return { sellerId, version, at: performance.now() };
}

/**
 * Has all writers write until `total` writes have begun.
 * @param nextDue when the next write is due, by `performance.now()`; asked once for each
 * @param writeOne writes as one of the writers, by number from 0
 */
export async function writeWhenDue(
  total: number,
  nextDue: () => number,
  writeOne: (writer: number) => Promise<Written>,
  written: (one: Written) => void,
  writers: number = WRITERS,
): Promise<{ writes: number; longestWaitMs: number }> {
  let begun = 0;
  let longestWaitMs = 0;
  const writer = async (mine: number) => {
    while (begun < total) {
      begun += 1;
      const early = nextDue() - performance.now();
      if (early > 0.5) await delay(early);
      else longestWaitMs = Math.max(longestWaitMs, -early);
      written(await writeOne(mine));
    }
  };
  await Promise.all(Array.from({ length: writers }, (_, mine) => writer(mine)));
  return { writes: total, longestWaitMs };
}

/**
 * @param sellers ids from 1 to this number, which have a list. Each belongs to one writer, which so knows its version.
 */
export async function openLoad(url: string, sellers: number): Promise<Load> {
  const pool = openWriterPool(url);
  const versions = new Uint32Array(sellers + 1);
  for (const one of await readVersions(pool, sellers)) versions[one.sellerId] = one.version;
  const share = Math.floor(sellers / WRITERS);
  const writeNext = (sellerId: number) => writeList(pool, sellerId, ++versions[sellerId]!, listOf(sellerId));
  return {
    async write(perSecond, seconds, written = () => {}) {
      const startedAt = performance.now();
      let asked = 0;
      return writeWhenDue(
        perSecond * seconds,
        () => startedAt + (asked++ * 1_000) / perSecond,
        (mine) => {
          return writeNext(1 + mine * share + Math.floor(Math.random() * share));
        },
        written,
      );
    },
    async writeEach() {
      let next = 1;
      const writer = async () => {
        while (next <= sellers) await writeNext(next++);
      };
      await Promise.all(Array.from({ length: WRITERS }, writer));
    },
    close: () => pool.end(),
  };
}
