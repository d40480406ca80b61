/** Sellers who keep changing their lists through the source's own use cases, whatever breaks. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { silentLog } from '#platform/log.ts';
import { openPool } from '#platform/postgres.ts';
import { postgresSellers } from '../../services/top-clients/adapters/postgres/sellers.ts';
import { addClient, eraseSeller, removeClient } from '../../services/top-clients/app/index.ts';
import type { WriteResult } from '../../services/top-clients/app/ports.ts';

export interface Writer {
  /** The newest acknowledged version of each seller. */
  readonly acknowledged: ReadonlyMap<number, number>;
  /** Writes that were acknowledged so far. */
  readonly writes: number;
  add(sellerId: number, name: string, traceparent?: string): Promise<number>;
  erase(sellerId: number): Promise<number>;
  /** Lets sellers `first` to `last` write all the time, until `rest`. Refusals and failures are ignored. */
  keepWriting(first: number, last: number, perSecond: number): void;
  /** Stops `keepWriting`, and waits for the writes in flight. */
  rest(): Promise<void>;
  close(): Promise<void>;
}

export function openWriter(url: string): Writer {
  const pool = openPool(
    {
      url,
      applicationName: 'writer',
      maximum: 4,
      statementTimeoutMs: 5_000,
      connectTimeoutMs: 2_000,
      pipeline: true,
    },
    silentLog,
  );
  const store = postgresSellers(pool);
  const acknowledged = new Map<number, number>();
  let writes = 0;
  const request = (sellerId: number, traceparent?: string) => ({
    sellerId,
    expectedVersions: null,
    idempotency: null,
    traceparent: traceparent ?? `00-${randomUUID().replaceAll('-', '')}-00f067aa0ba902b7-01`,
  });
  const done = (sellerId: number, result: WriteResult<unknown>): number => {
    if (!('decided' in result) || result.decided.kind !== 'done') {
      throw new Error(`seller ${sellerId}: ${JSON.stringify(result)}`);
    }
    const { version } = result.decided;
    acknowledged.set(sellerId, Math.max(version, acknowledged.get(sellerId) ?? 0));
    writes += 1;
    return version;
  };
  const lists = new Map<number, string[]>();
  const add = async (sellerId: number, name: string, traceparent?: string) => {
    const clientId = randomUUID();
    const fields = { name, industry: '', description: '', logo: null, from: null, to: null };
    const version = done(sellerId, await addClient(store, request(sellerId, traceparent), clientId, fields));
    lists.set(sellerId, [...(lists.get(sellerId) ?? []), clientId]);
    return version;
  };
  const change = async (sellerId: number) => {
    const list = lists.get(sellerId) ?? [];
    if (list.length < 5) return add(sellerId, `Brand ${randomUUID()}`);
    const [oldest] = list;
    const version = done(sellerId, await removeClient(store, request(sellerId), oldest!));
    lists.set(sellerId, list.slice(1));
    return version;
  };
  let resting = new AbortController();
  let working: Promise<unknown> = Promise.resolve();
  return {
    acknowledged,
    get writes() {
      return writes;
    },
    add,
    erase: async (sellerId) => done(sellerId, await eraseSeller(store, request(sellerId))),
    keepWriting(first, last, perSecond) {
      resting = new AbortController();
      const { signal } = resting;
      const hands = 4;
      const one = async (hand: number) => {
        // Each seller belongs to one writer, which so knows its list.
        for (let at = first + hand; !signal.aborted; at = at + hands > last ? first + hand : at + hands) {
          await change(at).catch(() => {
            lists.delete(at);
          });
          await delay((hands * 1_000) / perSecond);
        }
      };
      working = Promise.all(Array.from({ length: hands }, (_, hand) => one(hand)));
    },
    async rest() {
      resting.abort();
      await working;
    },
    close: () => pool.end(),
  };
}
