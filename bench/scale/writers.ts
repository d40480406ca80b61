/**
 * Writes of random sellers at random moments (a Poisson process) of a steady mean, as many sellers write: evenly spaced
 * ones would each have a round of the pipeline for itself up to the very rate at which none has.
 */
import { listOf, openWriterPool, WRITERS, type Written, writeList, writeWhenDue } from '../load.ts';

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
  const pool = openWriterPool(url);
  /** Of sellers who were written; all others are at 1. */
  const versions = new Map<number, number>();
  return {
    async write({ sellers, clients }, perSecond, seconds, written = () => {}) {
      let due = performance.now();
      return writeWhenDue(
        Math.round(perSecond * seconds),
        () => {
          due -= Math.log(1 - Math.random()) * (1_000 / perSecond);
          return due;
        },
        (mine) => {
          // Each seller belongs to one writer, which so knows its version.
          const sellerId = 1 + Math.floor(Math.random() * Math.floor(sellers / WRITERS)) * WRITERS + mine;
          const version = (versions.get(sellerId) ?? 1) + 1;
          versions.set(sellerId, version);
          return writeList(pool, sellerId, version, listOf(sellerId, clients));
        },
        written,
      );
    },
    close: () => pool.end(),
  };
}
