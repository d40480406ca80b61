/** Background writes, and a probe of how long a reader waits to see one. */
import { setTimeout as delay } from 'node:timers/promises';
import { silentLog } from '#platform/log.ts';
import { openPool } from '#platform/postgres.ts';
import { randomFor, zipf } from '../../services/seed/random.ts';
import { postgresSellers } from '../../services/top-clients/adapters/postgres/sellers.ts';
import { updateClient } from '../../services/top-clients/app/index.ts';

export interface Writer {
  /** Changes a client of a seller; resolves when the commit has returned. */
  rename(sellerId: number, name: string): Promise<void>;
  /** @returns a function that stops the steady writes */
  keepWriting(sellers: readonly number[], perSecond: number, seed: number): () => Promise<{ writes: number }>;
  close(): Promise<void>;
}

const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00';

/**
 * Writes through the source's own use cases, in this process. So the CPU of the source's process is only for reads, and
 * writes continue while that process is down.
 */
export function openWriter(url: string): Writer {
  const pool = openPool(
    {
      url,
      applicationName: 'bench-writer',
      maximum: 4,
      statementTimeoutMs: 10_000,
      connectTimeoutMs: 10_000,
    },
    silentLog,
  );
  const store = postgresSellers(pool);
  const write = async (sellerId: number, patch: { name?: string; description?: string }) => {
    const { clients } = await store.list(sellerId);
    const [first] = JSON.parse(clients) as { id: string }[];
    if (!first) throw new Error(`seller ${sellerId} has no clients to change`);
    await updateClient(
      store,
      { sellerId, expectedVersions: null, idempotency: null, traceparent: TRACEPARENT },
      first.id,
      patch,
    );
  };
  return {
    rename: (sellerId, name) => write(sellerId, { name }),
    keepWriting(sellers, perSecond, seed) {
      const stopping = new AbortController();
      const random = randomFor('writes', seed);
      const popular = zipf(sellers.length, 1);
      const under = new Set<Promise<unknown>>();
      let writes = 0;
      const running = (async () => {
        const startedAt = performance.now();
        for (let turn = 0; !stopping.signal.aborted; turn++) {
          const one = write(sellers[popular(random)]!, { description: `Campaign ${random.uuid()}` }).then(
            () => {
              writes += 1;
            },
          );
          under.add(one);
          void one.catch(() => {}).finally(() => under.delete(one));
          const wait = startedAt + ((turn + 1) * 1_000) / perSecond - performance.now();
          if (wait > 0) await delay(wait, undefined, { signal: stopping.signal }).catch(() => {});
        }
      })();
      return async () => {
        stopping.abort();
        await running;
        // A failed write is a fault of the machine or of ours: the load was not what the results say.
        await Promise.all(under);
        return { writes };
      };
    },
    close: () => pool.end(),
  };
}

export interface Staleness {
  /** From the commit until the first answer that showed the write, in ms, in the order of the writes. */
  readonly shownAfterMs: readonly number[];
  /** Writes that no answer showed before the probe gave up. */
  readonly notShown: number;
}

const GIVE_UP_MS = 1_000;
const PAUSE_MS = 5;
const BETWEEN_MS = 150;

/**
 * Renames a client of one seller after the other, and asks the page until an answer has the new name, one request after
 * the other, like a reader who reloads.
 * @param addressOf the path of a page that shows the seller
 * @returns a function that stops it and returns what was seen
 */
export function probeStaleness(
  writer: Writer,
  base: string,
  sellers: readonly number[],
  addressOf: (sellerId: number) => string,
): () => Promise<Staleness> {
  let stopped = false;
  const shownAfterMs: number[] = [];
  let notShown = 0;
  const running = (async () => {
    for (let turn = 0; !stopped; turn++) {
      const sellerId = sellers[turn % sellers.length]!;
      const mark = `Probe ${turn} ${Math.random().toString(36).slice(2, 10)}`;
      await writer.rename(sellerId, mark);
      const committedAt = performance.now();
      for (;;) {
        const text = await read(`${base}${addressOf(sellerId)}`);
        const waited = performance.now() - committedAt;
        if (text.includes(mark)) {
          shownAfterMs.push(waited);
          break;
        }
        if (waited > GIVE_UP_MS) {
          notShown += 1;
          break;
        }
        await delay(PAUSE_MS);
      }
      await delay(BETWEEN_MS);
    }
  })();
  return async () => {
    stopped = true;
    await running;
    return { shownAfterMs, notShown };
  };
}

async function read(url: string): Promise<string> {
  try {
    const answer = await fetch(url, {
      headers: { accept: 'application/json' },
      signal: AbortSignal.timeout(5_000),
    });
    return await answer.text();
  } catch {
    // Failed answers are counted by the load generator.
    return '';
  }
}
