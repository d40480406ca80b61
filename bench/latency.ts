/** How long after a commit a reader of the page's database sees it, and what the pipeline costs at that rate. */
import type { Pipeline } from '../services/local-stack/pipeline.ts';
import { type Load, openLoad, seedSellers } from './load.ts';
import { type Waits, watchWaits } from './observer.ts';
import { cpuOfTree, usageOf } from './usage.ts';

export interface RateResult extends Waits {
  /** How far the writers fell behind the rate, at most. */
  readonly writersLateMs: number;
  /** CPU seconds per 100,000 events. */
  readonly cpu: { relay: number; projector: number; kafka: number; postgres: number; bench: number };
}

export interface LatencyResult extends RateResult {
  readonly residentMb: { relay: number; projector: number; kafka: number };
}

const PER_SECOND = 1_000;
const SELLERS = 5_000;
/** Kafka's JIT compilers use a core for half a minute. */
export const WARM_UP_SECONDS = 30;
/** New roles beside a warm Kafka. */
const ROLE_WARM_UP_SECONDS = 7;

/** At a steady rate, with processes that run and are warm. @param processes their ids */
export async function measureRate(
  pipeline: Pipeline,
  load: Load,
  processes: { readonly relay: number; readonly projector: number },
  perSecond: number,
  seconds: number,
): Promise<RateResult> {
  const cpuOf = () => ({
    relay: usageOf(processes.relay).cpuSeconds,
    projector: usageOf(processes.projector).cpuSeconds,
    kafka: usageOf(pipeline.kafka.pid).cpuSeconds,
    postgres: cpuOfTree(pipeline.postgres.pid),
    bench: process.cpuUsage().user / 1e6 + process.cpuUsage().system / 1e6,
  });
  const before = cpuOf();
  const watched = await watchWaits(pipeline, perSecond);
  const { writes, longestWaitMs } = await load.write(perSecond, seconds, watched.written);
  const waits = await watched.finish();
  const after = cpuOf();
  const per = (name: keyof typeof before) => ((after[name] - before[name]) / writes) * 100_000;
  return {
    ...waits,
    writersLateMs: longestWaitMs,
    cpu: {
      relay: per('relay'),
      projector: per('projector'),
      kafka: per('kafka'),
      postgres: per('postgres'),
      bench: per('bench'),
    },
  };
}

/** In each run by processes of its own: one may use a tenth more CPU than another, for its whole life. */
export async function measureLatency(
  pipeline: Pipeline,
  seconds: number,
  runs: number,
): Promise<LatencyResult[]> {
  await seedSellers(pipeline.source, SELLERS);
  const results: LatencyResult[] = [];
  for (let run = 0; run < runs; run++)
    results.push(await measureOnce(pipeline, seconds, run === 0 ? WARM_UP_SECONDS : ROLE_WARM_UP_SECONDS));
  return results;
}

async function measureOnce(
  pipeline: Pipeline,
  seconds: number,
  warmUpSeconds: number,
): Promise<LatencyResult> {
  const relay = await pipeline.relay();
  const projector = await pipeline.projector();
  const load = await openLoad(pipeline.postgres.url('source'), SELLERS);
  try {
    await load.write(PER_SECOND, warmUpSeconds);
    const processes = { relay: relay.pid, projector: projector.pid };
    const result = await measureRate(pipeline, load, processes, PER_SECOND, seconds);
    return {
      ...result,
      residentMb: {
        relay: usageOf(processes.relay).peakMb,
        projector: usageOf(processes.projector).peakMb,
        kafka: usageOf(pipeline.kafka.pid).peakMb,
      },
    };
  } finally {
    await load.close();
    await projector.stop();
    await relay.stop();
  }
}
