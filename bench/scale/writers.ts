/**
 * Writes of random sellers at random moments (a Poisson process) of a steady mean, as many sellers write: evenly spaced
 * ones would each have a round of the pipeline for itself up to the very rate at which none has.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { silentLog } from '#platform/log.ts';
import { openPool } from '#platform/postgres.ts';
import { recordEvent } from '../../services/top-clients/adapters/postgres/record-event.ts';
import { listOf, TRACEPARENT, type Written } from '../load.ts';

const WRITERS = 8;

/** Who is written: sellers 1 to `sellers`, who all begin at version 1, with lists of `clients`. */
export interface Whom {
  readonly sellers: number;
  readonly clients: number;
}

export interface Writers {
  /** @returns how many were written, and the longest time that a write was late, in ms */
  write(
    whom: Whom,
    perSecond: number,
    seconds: number,
    written?: (one: Written) => void,
  ): Promise<{ writes: number; longestWaitMs: number }>;
  close(): Promise<void>;
}

export function openWriters(url: string): Writers {
  const pool = openPool(
    {
      url,
      applicationName: 'bench-writer',
      maximum: WRITERS,
      statementTimeoutMs: 30_000,
      connectTimeoutMs: 30_000,
    },
    silentLog,
  );
  /** Of sellers who were written; all others are at 1. */
  const versions = new Map<number, number>();
  const writeOne = async (sellerId: number, count: number): Promise<Written> => {
    const version = (versions.get(sellerId) ?? 1) + 1;
    versions.set(sellerId, version);
    const clients = listOf(sellerId, count);
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
  };
  return {
    async write({ sellers, clients }, perSecond, seconds, written = () => {}) {
      const total = Math.round(perSecond * seconds);
      const startedAt = performance.now();
      let [begun, longestWaitMs, due] = [0, 0, startedAt];
      const next = () => {
        begun += 1;
        due -= Math.log(1 - Math.random()) * (1_000 / perSecond);
        return due;
      };
      const writer = async (mine: number) => {
        while (begun < total) {
          const at = next();
          const early = at - performance.now();
          if (early > 0.5) await delay(early);
          else longestWaitMs = Math.max(longestWaitMs, -early);
          // Each seller belongs to one writer, which so knows its version.
          const drawn = Math.floor(Math.random() * Math.floor(sellers / WRITERS));
          written(await writeOne(1 + drawn * WRITERS + mine, clients));
        }
      };
      await Promise.all(Array.from({ length: WRITERS }, (_, mine) => writer(mine)));
      return { writes: total, longestWaitMs };
    },
    close: () => pool.end(),
  };
}
