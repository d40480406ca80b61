import type { PageClient } from '#pages/page.ts';
import { CARDS, type CardName } from './cards.ts';
import { Ratio, Window } from './window.ts';

export const RENDERS_KEPT = 120;
const CALLS_SPAN_MS = 10_000;

/** `off`: the page does not show the data at all. `unreachable`: the page did not answer. */
export type ProbedOutcome = 'full' | 'missing' | 'stale' | 'off' | 'unreachable';

/** What the probe knows of the page of one card. */
export interface Measured {
  /** Durations of the last renders in ms, of the watched gig and of others. */
  readonly renders: Window;
  /** Calls to the source per render. */
  readonly calls: Ratio;
  /** The last outcome of the watched gig. */
  outcome: ProbedOutcome | null;
  /** The version shown for the watched gig; null when none is. */
  version: number | null;
  clients: readonly PageClient[];
  /** How long it took until the lab's last write was shown here. */
  write: WriteSeen | null;
}

export type WriteSeen =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'shown'; readonly afterMs: number }
  | { readonly kind: 'not shown'; readonly withinMs: number };

/** The newest version in the source's database, which can be read while the service is down, too. */
export interface Truth {
  readonly version: number;
  readonly committedAt: number;
}

export interface Measurements {
  readonly cards: Readonly<Record<CardName, Measured>>;
  truth: Truth | null;
  /** The result of the last press of "write now". */
  lastWrite: string | null;
  /** Until when the probe stays quiet so that a write can be followed; `performance.now()`, ms. */
  closeLookUntil: number;
}

export function newMeasurements(): Measurements {
  const measured = (): Measured => ({
    renders: new Window(RENDERS_KEPT),
    calls: new Ratio(CALLS_SPAN_MS),
    outcome: null,
    version: null,
    clients: [],
    write: null,
  });
  return {
    cards: Object.fromEntries(CARDS.map(({ name }) => [name, measured()])) as Record<CardName, Measured>,
    truth: null,
    lastWrite: null,
    closeLookUntil: 0,
  };
}
