import { Pool } from 'undici';
import { HEADERS } from '#contracts/delivery.ts';
import type { PageClient } from '#pages/page.ts';
import { pause } from '#platform/lifecycle.ts';
import { silentLog } from '#platform/log.ts';
import { openPool } from '#platform/postgres.ts';
import { randomFor, zipf } from '../../seed/random.ts';
import { readVersion } from '../../top-clients/adapters/postgres/read-states.ts';
import { innerUrl, type Ports } from '../addresses.ts';
import { CARDS, type Card } from './cards.ts';
import type { Measured, Measurements, ProbedOutcome } from './measurements.ts';
import { sumOfCounter } from './window.ts';

/** Between two renders of a page, while somebody looks. */
const WATCHED_MS = 200;
const UNWATCHED_MS = 2_000;
const METRICS_MS = 1_000;
const DEADLINE_MS = 3_000;

/** What the cards show: this gig, or the page of its seller. */
export const WATCHED = { gigId: 1, sellerId: 1 } as const;

export interface ProbeSettings {
  readonly ports: Ports;
  readonly sellers: number;
  readonly sourceDatabase: string;
  /** Whether the page of a card runs at all. */
  readonly isThere: (card: Card) => boolean;
  readonly isWatched: () => boolean;
  /** While this is true nothing is rendered, so that a write can be followed undisturbed. */
  readonly isQuiet: () => boolean;
}

interface Render {
  readonly ms: number;
  readonly outcome: ProbedOutcome;
  readonly version: number | null;
}

/**
 * Renders the pages over and over, alternately the watched one and one that visitors might ask for. Each card runs on
 * its own, so that a slow page does not slow the others. Reads the truth from the source's database.
 * @returns a function that stops it
 */
export function startProbe(
  settings: ProbeSettings,
  into: Measurements,
): { ask: Ask; stop: () => Promise<void> } {
  const { ports, sellers, sourceDatabase, isThere, isWatched, isQuiet } = settings;
  const stopping = new AbortController();
  const stopped = stopping.signal;
  const origins = new Map(
    CARDS.map((card) => [card, new Pool(innerUrl(ports[card.port]), { connections: 4 })]),
  );
  const popular = zipf(sellers, 1);
  const random = randomFor('probe', 0);

  const render = async (card: Card, sellerId: number): Promise<Render> => {
    const begin = performance.now();
    try {
      const answer = await origins.get(card)!.request({
        method: 'GET',
        path: card.pathOf(sellerId),
        headers: { accept: 'text/html' },
        signal: AbortSignal.any([stopped, AbortSignal.timeout(DEADLINE_MS)]),
      });
      await answer.body.dump({ limit: 4 * 1024 * 1024 });
      const ms = performance.now() - begin;
      if (answer.statusCode !== 200) return { ms, outcome: 'unreachable', version: null };
      return { ms, ...readHeaders(answer.headers) };
    } catch {
      return { ms: performance.now() - begin, outcome: 'unreachable', version: null };
    }
  };

  const clients = async (card: Card): Promise<readonly PageClient[]> => {
    const answer = await origins.get(card)!.request({
      method: 'GET',
      path: card.pathOf(WATCHED.sellerId),
      headers: { accept: 'application/json' },
      signal: AbortSignal.any([stopped, AbortSignal.timeout(DEADLINE_MS)]),
    });
    const body = (await answer.body.json()) as { topClients?: { clients?: readonly PageClient[] } };
    return body.topClients?.clients ?? [];
  };

  const watch = async (card: Card, measured: Measured, offset: number): Promise<void> => {
    await pause(offset, stopped);
    for (let turn = 0; !stopped.aborted; turn++) {
      while (!isThere(card) && !stopped.aborted) await pause(UNWATCHED_MS, stopped);
      while (isQuiet() && !stopped.aborted) await pause(20, stopped);
      const begin = performance.now();
      const isOfWatched = turn % 2 === 0;
      const seen = await render(card, isOfWatched ? WATCHED.sellerId : 1 + popular(random));
      if (stopped.aborted) return;
      if (seen.outcome !== 'unreachable') measured.renders.add(seen.ms);
      if (isOfWatched) {
        if (seen.version !== measured.version || seen.outcome !== measured.outcome) {
          measured.clients = seen.version === null ? [] : await clients(card).catch(() => measured.clients);
        }
        measured.outcome = seen.outcome;
        measured.version = seen.version;
      }
      const period = isWatched() ? WATCHED_MS : UNWATCHED_MS;
      await pause(Math.max(20, period - (performance.now() - begin)), stopped);
    }
  };

  const countCalls = async (): Promise<void> => {
    while (!stopped.aborted) {
      await Promise.all(
        CARDS.filter(isThere).map(async ({ name, healthPort }) => {
          const metrics = await fetch(`${innerUrl(ports[healthPort])}/metrics`, {
            signal: AbortSignal.timeout(1_000),
          }).then(
            (answer) => answer.text(),
            () => null,
          );
          if (metrics === null) return;
          // Calls that the circuit breaker or the bulkhead rejected never reached the source.
          const calls = sumOfCounter(metrics, 'topclients_page_source_requests_total', REACHED_SOURCE);
          into.cards[name].calls.add(
            Date.now(),
            calls,
            sumOfCounter(metrics, 'topclients_page_renders_total'),
          );
        }),
      );
      await pause(isWatched() ? METRICS_MS : UNWATCHED_MS, stopped);
    }
  };

  const pool = openPool(
    {
      url: sourceDatabase,
      applicationName: 'demo lab',
      maximum: 1,
      statementTimeoutMs: 1_000,
      connectTimeoutMs: 1_000,
    },
    silentLog,
  );
  const readTruth = async (): Promise<void> => {
    while (!stopped.aborted) {
      into.truth = await readVersion(pool, WATCHED.sellerId).catch(() => null);
      await pause(isWatched() ? WATCHED_MS : UNWATCHED_MS, stopped);
    }
  };

  const loops = [
    ...CARDS.map((card, index) => watch(card, into.cards[card.name], (index * WATCHED_MS) / CARDS.length)),
    countCalls(),
    readTruth(),
  ];
  return {
    ask: (card) => render(card, WATCHED.sellerId),
    async stop() {
      stopping.abort();
      await Promise.all(loops);
      await Promise.all([...origins.values()].map((origin) => origin.destroy()));
      await pool.end();
    },
  };
}

/** Renders the watched page once, now. */
export type Ask = (card: Card) => Promise<Render>;

const REACHED_SOURCE = ['result="ok"', 'result="error"', 'result="timeout"'];
const OUTCOMES: readonly unknown[] = ['full', 'missing', 'stale'];

function readHeaders(headers: Readonly<Record<string, string | string[] | undefined>>): Omit<Render, 'ms'> {
  const outcome = headers[HEADERS.outcome.toLowerCase()];
  const version = headers[HEADERS.version.toLowerCase()];
  return {
    outcome: OUTCOMES.includes(outcome) ? (outcome as ProbedOutcome) : 'off',
    version: typeof version === 'string' && /^\d+$/.test(version) ? Number(version) : null,
  };
}
