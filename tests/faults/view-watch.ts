/** Watches the views all the time: when a version became visible, and whether one ever went back. */
import { pause } from '#platform/lifecycle.ts';
import { type FaultWorld, PAGES_UNDER_FAULT, type PageUnderFault } from './world.ts';

export interface StepBack {
  readonly page: PageUnderFault;
  readonly seller: number;
  readonly from: number;
  /** 0 when the row is gone. */
  readonly to: number;
  readonly at: number;
}

/** What readers of one view saw, in order. Pure. */
export class Sightings {
  readonly stepsBack: StepBack[] = [];
  /** For each seller: when each version was first shown or surpassed. */
  readonly #first = new Map<number, Array<{ version: number; at: number }>>();
  #highest = new Map<number, number>();
  readonly #page: PageUnderFault;

  constructor(page: PageUnderFault) {
    this.#page = page;
  }

  /** @param mayGoBack the view was lost and is being built anew: earlier sightings no longer bind it */
  see(rows: ReadonlyMap<number, number>, at: number, mayGoBack: boolean): void {
    for (const [seller, from] of this.#highest) {
      const to = rows.get(seller) ?? 0;
      if (to < from && !mayGoBack) this.stepsBack.push({ page: this.#page, seller, from, to, at });
    }
    for (const [seller, version] of rows) {
      const seen = this.#first.get(seller) ?? [];
      if (version > (seen.at(-1)?.version ?? 0)) seen.push({ version, at });
      this.#first.set(seller, seen);
    }
    this.#highest = new Map(rows);
  }

  /** When the version, or a newer one, was first seen; null when it never was. */
  visibleAt(seller: number, version: number): number | null {
    return this.#first.get(seller)?.find((one) => one.version >= version)?.at ?? null;
  }
}

export interface ViewWatch {
  readonly sightings: Readonly<Record<PageUnderFault, Sightings>>;
  /** Set while a fault removes rows on purpose. */
  mayGoBack: boolean;
  stop(): Promise<void>;
}

const EVERY_MS = 100;

export function watchViews(world: FaultWorld): ViewWatch {
  const stop = new AbortController();
  const sightings = Object.fromEntries(
    PAGES_UNDER_FAULT.map((page) => [page, new Sightings(page)]),
  ) as ViewWatch['sightings'];
  const watch = { sightings, mayGoBack: false };
  const look = async (page: PageUnderFault) => {
    while (!stop.signal.aborted) {
      const mayGoBack = watch.mayGoBack;
      try {
        const { rows } = await world.views[page].query<{ seller_id: number; version: number }>(
          'select seller_id, version from top_clients',
        );
        const versions = new Map(rows.map((row) => [row.seller_id, row.version]));
        sightings[page].see(versions, performance.now(), mayGoBack || watch.mayGoBack);
      } catch {
        // A database that is down shows nothing.
      }
      await pause(EVERY_MS, stop.signal);
    }
  };
  const looking = Promise.all(PAGES_UNDER_FAULT.map(look));
  return Object.assign(watch, {
    async stop() {
      stop.abort();
      await looking;
    },
  });
}
