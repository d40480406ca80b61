/** The steady rate along each axis: one thing grows, all else stays. */
import { type Pipeline, startPipeline } from '../../services/local-stack/pipeline.ts';
import type { RunningRole } from '../../services/local-stack/run-role.ts';
import type { SystemDeclaration } from '../../services/local-stack/system.ts';
import { grow } from './grow.ts';
import type { Axis, Place, SteadyRun } from './results.ts';
import { measureSteady, type Running } from './steady.ts';
import { openWriters } from './writers.ts';

const BASE: Place = { perSecond: 500, sellers: 10_000, pages: 1, shards: 1, clients: 3 };

/** Where each axis is measured. What a page costs is that of twenty processes, so it is measured at a lower rate. */
export const AXES: Readonly<Record<Axis, { readonly points: readonly number[]; readonly base: Place }>> = {
  rate: { points: [20, 50, 100, 200, 500, 1_000, 2_000], base: BASE },
  sellers: { points: [10_000, 100_000, 1_000_000, 10_000_000], base: BASE },
  pages: { points: [1, 2, 5, 10, 20], base: { ...BASE, perSecond: 25 } },
  shards: { points: [1, 2, 4, 8], base: BASE },
  clients: { points: [1, 5, 10, 20], base: BASE },
};

const placeOf = (axis: Axis, value: number): Place => {
  const { base } = AXES[axis];
  return axis === 'rate' ? { ...base, perSecond: value } : { ...base, [axis]: value };
};

/** Kafka's JIT compilers use a core for half a minute. */
const WARM = { perSecond: 1_000, perSecondOfPages: 60, seconds: 25, quickSeconds: 5 } as const;
/** A process that has just begun, or was asked for something new. */
const SETTLE_SECONDS = 3;
const SESSION_TIMEOUT_MS = 6_000;

export interface Lengths {
  readonly seconds: number;
  readonly quick: boolean;
}

export interface AxisPoints {
  readonly axis: Axis;
  readonly points: readonly number[];
}
/** Told of each point as soon as it is measured. */
export type Found = (axis: Axis, at: Place, run: SteadyRun) => void;

/** Measures several axes on the same servers and processes: those have to get warm only once. */
export async function measureAxes(
  axes: readonly AxisPoints[],
  { seconds, quick }: Lengths,
  found: Found,
): Promise<void> {
  const pages = axes.find(({ axis }) => axis === 'pages');
  const external = pages ? furtherPages(Math.max(...pages.points) - 1) : {};
  const pipeline = await startPipeline({ pagesPostgres: {}, external });
  const writers = openWriters(pipeline.postgres.url('source'));
  try {
    await grow(pipeline, 1, BASE.sellers);
    let sellers = BASE.sellers;
    const startRelay = (shards: number) =>
      pipeline.relay(`relay-${shards}`, { env: { TC_SHARDS: String(shards) } });
    const running = {
      ...{ pipeline, writers },
      relay: await startRelay(1),
      projectors: [await pipeline.projector(), ...(await startProjectors(pipeline, Object.keys(external)))],
    };
    await writers.write(
      BASE,
      pages ? WARM.perSecondOfPages : WARM.perSecond,
      quick ? WARM.quickSeconds : WARM.seconds,
    );
    for (const { axis, value } of orderOf(axes)) {
      const at = placeOf(axis, value);
      if (at.sellers > sellers) {
        await grow(pipeline, sellers + 1, at.sellers);
        sellers = at.sellers;
      }
      if (running.relay.name !== `relay-${at.shards}`) {
        await running.relay.stop();
        running.relay = await startRelay(at.shards);
        await writers.write(at, WARM.perSecond, quick ? 1 : 2 * SETTLE_SECONDS);
      }
      for (const one of running.projectors.splice(at.pages)) await one.stop();
      found(axis, at, await settled(running, at, seconds));
    }
  } finally {
    await writers.close();
    await pipeline.stop();
  }
}

/**
 * The most pages come first: the projectors that stay are warm, and none need be started in between. Tables only grow,
 * so the sellers come last. All else is in a random order, so that what a broker gains while its code is compiled does
 * not look like an axis.
 */
function orderOf(axes: readonly AxisPoints[]): { axis: Axis; value: number }[] {
  const all = axes.flatMap(({ axis, points }) =>
    points.map((value) => ({ axis, value, drawn: Math.random() })),
  );
  const rank = ({ axis, value, drawn }: (typeof all)[number]) =>
    axis === 'pages' ? -value : axis === 'sellers' ? value : drawn;
  return all.sort((a, b) => rank(a) - rank(b));
}

async function settled(running: Running, at: Place, seconds: number): Promise<SteadyRun> {
  await running.writers.write(at, at.perSecond, Math.min(seconds, SETTLE_SECONDS));
  // A rate so low needs longer for as many events; their cost is the same.
  return measureSteady(running, at, at.perSecond < 100 ? 1.5 * seconds : seconds);
}

const furtherPages = (count: number): NonNullable<SystemDeclaration['external']> =>
  Object.fromEntries(
    Array.from({ length: count }, (_, at) => [`further-${at + 1}`, { delivery: 'asynchronous' as const }]),
  );

/** A few at once: twenty that begin together would wait for each other longer than for themselves. */
async function startProjectors(pipeline: Pipeline, pages: readonly string[]): Promise<RunningRole[]> {
  const started: RunningRole[] = [];
  for (let first = 0; first < pages.length; first += 4) {
    const some = pages.slice(first, first + 4).map((page) =>
      pipeline.start({
        role: 'projector',
        name: `projector-${page}`,
        page,
        env: { TC_SESSION_TIMEOUT_MS: SESSION_TIMEOUT_MS },
      }),
    );
    started.push(...(await Promise.all(some)));
  }
  return started;
}
