import { Pool } from 'undici';
import { HEADERS } from '#contracts/delivery.ts';
import type { PageClient } from '#pages/page.ts';
import { pause } from '#platform/lifecycle.ts';
import { silentLog } from '#platform/log.ts';
import { openPool } from '#platform/postgres.ts';
import { randomFor, zipf } from '../../seed/random.ts';
import { readVersion } from '../../top-clients/adapters/postgres/read-states.ts';
import { innerUrl, type Ports } from '../addresses.ts';
import type { Measured, Measurements, ProbedOutcome } from './measurements.ts';
import { VARIANTS, type Variant } from './variants.ts';
import { sumOfCounter } from './window.ts';

/** Between two renders of a variant, while somebody looks. */
const WATCHED_MS = 200;
const UNWATCHED_MS = 2_000;
const METRICS_MS = 1_000;
const DEADLINE_MS = 3_000;

/** The gig that the cards show, and its seller. */
export const WATCHED = { gigId: 1, sellerId: 1 } as const;

export interface ProbeSettings {
  readonly ports: Ports;
  readonly sellers: number;
  readonly sourceDatabase: string;
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
 * Renders the pages over and over, alternately the watched gig and one that visitors might ask for. Each variant runs
 * on its own, so that a slow one does not slow the others. Reads the truth from the source's database.
 * @returns a function that stops it
 */
export function startProbe(
  settings: ProbeSettings,
  into: Measurements,
): { ask: Ask; stop: () => Promise<void> } {
  const { ports, sellers, sourceDatabase, isWatched, isQuiet } = settings;
  const stopping = new AbortController();
  const stopped = stopping.signal;
  const origins = new Map(
    VARIANTS.map((variant) => [variant, new Pool(innerUrl(ports[variant.port]), { connections: 4 })]),
  );
  const popular = zipf(sellers, 1);
  const random = randomFor('probe', 0);

  const render = async (variant: Variant, gigId: number): Promise<Render> => {
    const begin = performance.now();
    try {
      const answer = await origins.get(variant)!.request({
        method: 'GET',
        path: `/gigs/${gigId}`,
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

  const clients = async (variant: Variant): Promise<readonly PageClient[]> => {
    const answer = await origins.get(variant)!.request({
      method: 'GET',
      path: `/gigs/${WATCHED.gigId}`,
      headers: { accept: 'application/json' },
      signal: AbortSignal.any([stopped, AbortSignal.timeout(DEADLINE_MS)]),
    });
    const body = (await answer.body.json()) as { topClients?: { clients?: readonly PageClient[] } };
    return body.topClients?.clients ?? [];
  };

  const watch = async (variant: Variant, measured: Measured, offset: number): Promise<void> => {
    await pause(offset, stopped);
    for (let turn = 0; !stopped.aborted; turn++) {
      while (isQuiet() && !stopped.aborted) await pause(20, stopped);
      const begin = performance.now();
      const isOfWatched = turn % 2 === 0;
      const seen = await render(variant, isOfWatched ? WATCHED.gigId : 1 + popular(random));
      if (stopped.aborted) return;
      if (seen.outcome !== 'unreachable') measured.renders.add(seen.ms);
      if (isOfWatched) {
        if (seen.version !== measured.version || seen.outcome !== measured.outcome) {
          measured.clients =
            seen.version === null ? [] : await clients(variant).catch(() => measured.clients);
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
        VARIANTS.map(async ({ name, healthPort }) => {
          const metrics = await fetch(`${innerUrl(ports[healthPort])}/metrics`, {
            signal: AbortSignal.timeout(1_000),
          }).then(
            (answer) => answer.text(),
            () => null,
          );
          if (metrics === null) return;
          // Calls that the circuit breaker or the bulkhead rejected never reached the source.
          const calls = sumOfCounter(metrics, 'topclients_page_source_requests_total', REACHED_SOURCE);
          into.variants[name].calls.add(
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
    ...VARIANTS.map((variant, index) =>
      watch(variant, into.variants[variant.name], (index * WATCHED_MS) / VARIANTS.length),
    ),
    countCalls(),
    readTruth(),
  ];
  return {
    ask: (variant) => render(variant, WATCHED.gigId),
    async stop() {
      stopping.abort();
      await Promise.all(loops);
      await Promise.all([...origins.values()].map((origin) => origin.destroy()));
      await pool.end();
    },
  };
}

/** Renders the watched gig once, now. */
export type Ask = (variant: Variant) => Promise<Render>;

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
