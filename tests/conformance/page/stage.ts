/** What every act of a trial needs: the page's answers, and writes that can be found on it. */
import { randomBytes } from 'node:crypto';
import { CANARY_SELLER } from '#contracts/canary.ts';
import { pause } from '#platform/lifecycle.ts';
import { HOSTILE_TEXTS } from '../../support/hostile-texts.ts';
import { type Addition, type Market, MarketUnusable } from './market.ts';
import type { DatabaseProxy, SourceProxy } from './proxies.ts';
import { isMarker, markerOf, newestIn, type RuleName, type Visit, type WriteSeen } from './rules.ts';
import { visitPage } from './visit.ts';

export interface Trial {
  /** The address of a seller's page. */
  readonly page: (sellerId: number) => string;
  /** Whom it may write for, 100 at most. Only a seller without clients is erased. */
  readonly sellers: readonly number[];
  readonly market: Market;
  readonly sourceProxy: SourceProxy | null;
  readonly databaseProxy: DatabaseProxy | null;
  /** The page's `/metrics`. */
  readonly metricsUrl: string | null;
  readonly deadlineMs: number;
  readonly freshMs: number;
  /** Whether the page claims minVersion also where its answers do not vary by the header. */
  readonly claimsMinVersion: boolean;
  readonly rules: ReadonlySet<RuleName>;
  /** Ends the trial; what it wrote is removed all the same. */
  readonly signal: AbortSignal;
  readonly log: (message: string) => void;
}

/** A seller with a client of the trial, whose name tells the newest write. */
export interface Shelf {
  readonly sellerId: number;
  readonly clientId: string;
  /** Of the newest write. */
  n: number;
  version: number;
}

export interface Stage extends Trial {
  /** Tells the names of this trial from those of others. */
  readonly run: string;
  /** Sellers to write for, each for something else, those with the shortest lists first. */
  readonly writable: readonly number[];
  /** A seller who had no clients, or null where all have some. */
  readonly erasable: number | null;
  /** Sellers whom nobody has asked for yet, with a text that stands on their pages. */
  readonly cold: readonly (readonly [sellerId: number, text: string])[];
  visit(sellerId: number, more?: VisitOptions): Promise<Visit>;
  /** Gives the seller a client, until the end of the trial. */
  add(sellerId: number, client: Addition): Promise<{ readonly id: string; readonly version: number }>;
  /** Gives the seller a client whose name can be found. */
  shelve(sellerId: number): Promise<Shelf>;
  rename(shelf: Shelf): Promise<void>;
  /** Looks until the page shows the newest write, or for so long. */
  awaited(shelf: Shelf, patienceMs?: number): Promise<WriteSeen>;
  /** Takes away what was written. @returns how much of it is still there, for the source did not answer */
  clear(): Promise<number>;
}

export interface VisitOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** As `minVersion=7`. */
  readonly query?: string;
}

const LOOK_EVERY_MS = 30;
/** After its deadline an answer is late; after this it is none. */
const BEYOND_DEADLINE_MS = 2_000;
/** A seller for each act that writes. */
const WRITABLE = 3;
/** Beside the trial's own names there must be room, and a page may show the first few of a list alone. */
const OWN_CLIENTS = 2;
const COLD = 8;
/** A name that no page writes otherwise. */
const PLAIN = /^[A-Za-z0-9 ]{3,}$/;

/** @throws MarketUnusable when the source cannot be read, or too few of the sellers have a page */
export async function openStage(trial: Trial): Promise<Stage> {
  const { market } = trial;
  const run = randomBytes(3).toString('hex');
  let written = 0;
  const left: { readonly sellerId: number; readonly clientId: string }[] = [];

  const visit: Stage['visit'] = (sellerId, { headers = {}, query } = {}) => {
    const url = trial.page(sellerId);
    const address = query === undefined ? url : `${url}${url.includes('?') ? '&' : '?'}${query}`;
    return visitPage(address, sellerId, trial.deadlineMs + BEYOND_DEADLINE_MS, headers);
  };

  const add: Stage['add'] = async (sellerId, client) => {
    const added = await market.add(sellerId, client);
    left.push({ sellerId, clientId: added.id });
    return added;
  };

  return {
    ...trial,
    ...{ run, visit, add },
    ...(await choose(trial, visit)),
    async shelve(sellerId) {
      const n = ++written;
      const { id, version } = await add(sellerId, { name: markerOf(run, n) });
      return { sellerId, clientId: id, n, version };
    },
    async rename(shelf) {
      const n = ++written;
      const { version } = await market.rename(shelf.sellerId, shelf.clientId, markerOf(run, n));
      Object.assign(shelf, { n, version });
    },
    async awaited({ sellerId, n }, patienceMs = trial.freshMs) {
      const began = performance.now();
      for (;;) {
        const last = await visit(sellerId);
        const afterMs = last.at - began;
        const isShown = last.status === 200 && (newestIn(last.text, run) ?? 0) >= n;
        if (isShown || afterMs > patienceMs) {
          return { sellerId, name: markerOf(run, n), afterMs: isShown ? afterMs : null, last };
        }
        await pause(LOOK_EVERY_MS);
      }
    },
    async clear() {
      const kept = [...Map.groupBy(left, ({ sellerId }) => sellerId).values()].map(async (some) => {
        for (const [removed, { sellerId, clientId }] of some.entries()) {
          // A source that is away now must not hide what was found, nor be waited for again and again.
          const isGone = await market.remove(sellerId, clientId).then(
            () => true,
            () => false,
          );
          if (!isGone) return some.length - removed;
        }
        return 0;
      });
      return (await Promise.all(kept)).reduce((sum, count) => sum + count, 0);
    },
  };
}

/** Chooses sellers who have a page, so that each act has one of its own. */
async function choose(
  { sellers, market }: Trial,
  visit: Stage['visit'],
): Promise<Pick<Stage, 'writable' | 'erasable' | 'cold'>> {
  const asked = sellers.filter((id) => id !== CANARY_SELLER);
  await clearLeftovers(market, asked);
  const lists = [...(await market.lists(asked)).values()];
  const few = lists
    .filter(({ clients }) => clients.length <= OWN_CLIENTS)
    .toSorted((one, other) => one.clients.length - other.clients.length);
  const found: typeof few = [];
  for (const list of few) {
    if (found.length > WRITABLE) break;
    if ((await visit(list.sellerId)).status === 200) found.push(list);
  }
  const empty = found.find(({ clients }) => clients.length === 0);
  const writable = found.filter((list) => list !== empty || found.length <= WRITABLE).slice(0, WRITABLE);
  if (writable.length < WRITABLE) {
    throw new MarketUnusable(
      `of the sellers given only ${found.length} have a page and at most ${OWN_CLIENTS} clients, and it takes ${WRITABLE + 1}: choose others by SELLERS`,
    );
  }
  const known = new Set(found);
  return {
    writable: writable.map(({ sellerId }) => sellerId),
    erasable: writable.includes(empty!) ? null : (empty?.sellerId ?? null),
    cold: lists
      .filter((list) => !known.has(list))
      .flatMap(({ sellerId, clients }) => {
        const name = clients[0]?.name ?? '';
        return PLAIN.test(name) ? [[sellerId, name] as const] : [];
      })
      .slice(0, COLD),
  };
}

/** Removes what a trial left that was killed before its end. */
async function clearLeftovers(market: Market, sellers: readonly number[]): Promise<void> {
  for (const { sellerId, clients } of (await market.lists(sellers)).values()) {
    if (!clients.some(({ name }) => isMarker(name))) continue;
    for (const { id, name } of clients) {
      if (isMarker(name) || HOSTILE_TEXTS.includes(name)) await market.remove(sellerId, id);
    }
  }
}
