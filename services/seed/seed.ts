import { PAGE_NAMES, type PageName } from '#contracts/pages.ts';
import type { Queryable } from '#platform/postgres.ts';
import { fillBrandCatalogue } from '../seller-portal/catalogue.ts';
import { countKnown } from '../top-clients/adapters/postgres/read-states.ts';
import { OWN_DATA } from './own-data.ts';
import { clientsOf, seller } from './sellers.ts';
import { addClients } from './source.ts';

export type Databases = Readonly<Record<'source' | PageName | 'selfView', Queryable>>;

export interface Progress {
  /** Sellers whose data is complete. */
  readonly done: number;
  readonly sellers: number;
  /** Events that this run wrote. */
  readonly events: number;
}

/** Sellers in one statement. It takes a few tens of milliseconds, so that a stop is quick. */
const CHUNK = 500;
/** Chunks at once: one is generated and turned into JSON while the databases store the other. */
const AT_ONCE = 2;

/**
 * Fills the databases of the source and of the pages with sellers 1 to `sellers`. Every chunk is written by statements
 * that are atomic and safe to repeat, and existing chunks are skipped. So the next run completes an interrupted one,
 * and a run over complete data only reads.
 * @param now the commit time of these changes
 * @returns how far it came: to the end, unless the signal aborted
 * @throws what the databases throw
 */
export async function seed(
  databases: Databases,
  sellers: number,
  options: { now: () => Date; onProgress: (progress: Progress) => void; signal: AbortSignal },
): Promise<Progress> {
  const { now, onProgress, signal } = options;
  let progress: Progress = { done: 0, sellers, events: 0 };
  const catalogue = fillBrandCatalogue(databases.selfView);
  let next = 1;
  const work = async () => {
    while (next <= sellers && !signal.aborted) {
      const first = next;
      const last = Math.min(first + CHUNK - 1, sellers);
      next = last + 1;
      const events = (await isThere(databases, first, last))
        ? 0
        : await fill(databases, first, last, sellers, now().toISOString());
      progress = { ...progress, done: progress.done + last - first + 1, events: progress.events + events };
      onProgress(progress);
    }
  };
  await Promise.all([catalogue, ...Array.from({ length: AT_ONCE }, work)]);
  return progress;
}

const idsOf = (first: number, last: number) => Array.from({ length: last - first + 1 }, (_, i) => first + i);

async function fill(databases: Databases, first: number, last: number, sellers: number, at: string) {
  const ids = idsOf(first, last);
  const made = ids.map((id) => seller(id, sellers));
  const [events] = await Promise.all([
    addClients(databases.source, ids, at),
    ...PAGE_NAMES.map((page) => OWN_DATA[page].insert(databases[page], made)),
  ]);
  return events;
}

/** A chunk's rows are written together, so the first row of each seller proves the further ones. */
async function isThere(databases: Databases, first: number, last: number): Promise<boolean> {
  const withClients = idsOf(first, last).filter((id) => clientsOf(id).length > 0);
  const count = async (page: PageName) =>
    (await databases[page].query<{ count: number }>(OWN_DATA[page].count, [first, last])).rows[0]!.count;
  const [states, ...rows] = await Promise.all([
    countKnown(databases.source, withClients),
    ...PAGE_NAMES.map(count),
  ]);
  const size = last - first + 1;
  return states === withClients.length && rows.every((one) => one === size);
}
