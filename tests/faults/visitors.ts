/** Buyers who request pages all the time, and the answers they got. */
import { HEADERS } from '#contracts/delivery.ts';
import { pause } from '#platform/lifecycle.ts';
import { randomFor } from '../../services/seed/random.ts';
import { CONTENDED } from './clients.ts';
import { type FaultWorld, type PageServer, pathOn } from './world.ts';

/** What pages may do during a fault. */
export type PagesMeanwhile =
  /** They answer in time and without 5xx: faults of the source and Kafka must not affect them. */
  | 'answer'
  /** They may answer 5xx, in time: their own database is down. */
  | 'answer or refuse'
  /** They may be down: they were killed. */
  | 'may be gone';

export interface Visit {
  readonly page: PageServer;
  readonly at: number;
  readonly ms: number;
  /** null: no answer */
  readonly status: number | null;
  readonly outcome: string | null;
  /** Null after an unknown failure, and when there was an answer. */
  readonly error: string | null;
  readonly meanwhile: PagesMeanwhile;
}

export interface Visitors {
  readonly visits: readonly Visit[];
  meanwhile: PagesMeanwhile;
  rest(): Promise<void>;
}

const PATIENCE_MS = 5_000;

export function startVisitors(world: FaultWorld, seed: number, perSecondEach: number): Visitors {
  const stop = new AbortController();
  const visits: Visit[] = [];
  const visitors = { visits, meanwhile: 'answer' as PagesMeanwhile };
  const visit = async (page: PageServer, index: number) => {
    const random = randomFor('visitor', index, seed);
    while (!stop.signal.aborted) {
      const before = visitors.meanwhile;
      const at = performance.now();
      let got: Pick<Visit, 'status' | 'outcome' | 'error'>;
      try {
        const path = pathOn(page, random.integer(CONTENDED.first, CONTENDED.last));
        const answer = await fetch(`${world.pageUrls[page]}${path}`, {
          headers: { accept: 'application/json' },
          signal: AbortSignal.timeout(PATIENCE_MS),
        });
        await answer.text();
        got = { status: answer.status, outcome: answer.headers.get(HEADERS.outcome), error: null };
      } catch (err) {
        const { cause, name } = err as { cause?: { code?: string }; name: string };
        got = { status: null, outcome: null, error: cause?.code ?? name };
      }
      // The weaker requirement of the two: a fault may have begun or ended during the request.
      const meanwhile = laxer(before, visitors.meanwhile);
      visits.push({ page, at, ms: performance.now() - at, ...got, meanwhile });
      await pause(random.integer(500, 1_500) / perSecondEach, stop.signal);
    }
  };
  const visiting = Promise.all((Object.keys(world.pageUrls) as PageServer[]).map(visit));
  return Object.assign(visitors, {
    async rest() {
      stop.abort();
      await visiting;
    },
  });
}

const ORDER: readonly PagesMeanwhile[] = ['answer', 'answer or refuse', 'may be gone'];
export const laxer = (one: PagesMeanwhile, other: PagesMeanwhile): PagesMeanwhile =>
  ORDER[Math.max(ORDER.indexOf(one), ORDER.indexOf(other))]!;
