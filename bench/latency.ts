/** How long after a commit a reader of the page's database sees it, and what the pipeline costs at that rate. */
import type { Pipeline } from '../services/local-stack/pipeline.ts';
import { openLoad, seedSellers } from './load.ts';
import { observeView } from './observer.ts';
import { cpuOfTree, usageOf } from './usage.ts';

export interface LatencyResult {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly samples: number;
  /** How far the writers fell behind the rate, at most. */
  readonly writersLateMs: number;
  /** CPU seconds per 100,000 events. */
  readonly cpu: { relay: number; projector: number; kafka: number; postgres: number; bench: number };
  readonly residentMb: { relay: number; projector: number; kafka: number };
}

const PER_SECOND = 1_000;
const SELLERS = 5_000;
/** Kafka's JIT compilers use a core for half a minute. */
const WARM_UP_SECONDS = 30;
/** One of this many writes is watched: watching costs as much as the pipeline itself. */
const WATCHED = 20;

export async function measureLatency(pipeline: Pipeline, seconds: number): Promise<LatencyResult> {
  await seedSellers(pipeline.source, SELLERS);
  const relay = await pipeline.relay();
  const projector = await pipeline.projector();
  const load = await openLoad(pipeline.postgres.url('source'), SELLERS);
  try {
    await load.write(PER_SECOND, WARM_UP_SECONDS);
    const processes = { relay: relay.pid, projector: projector.pid, kafka: pipeline.kafka.pid };
    const cpuOf = () => ({
      relay: usageOf(processes.relay).cpuSeconds,
      projector: usageOf(processes.projector).cpuSeconds,
      kafka: usageOf(processes.kafka).cpuSeconds,
      postgres: cpuOfTree(pipeline.postgres.pid),
      bench: process.cpuUsage().user / 1e6 + process.cpuUsage().system / 1e6,
    });
    const before = cpuOf();
    const observer = await observeView(pipeline);
    let count = 0;
    const { writes, longestWaitMs } = await load.write(PER_SECOND, seconds, (one) => {
      if (count++ % WATCHED === 0) observer.expect(one);
    });
    const latencies = (await observer.finish())
      .map(({ at, visibleAt }) => visibleAt - at)
      .sort((a, b) => a - b);
    const after = cpuOf();
    const per = (name: keyof typeof before) => ((after[name] - before[name]) / writes) * 100_000;
    const at = (share: number) =>
      latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))]!;
    return {
      p50: at(0.5),
      p99: at(0.99),
      max: latencies.at(-1)!,
      samples: latencies.length,
      writersLateMs: longestWaitMs,
      cpu: {
        relay: per('relay'),
        projector: per('projector'),
        kafka: per('kafka'),
        postgres: per('postgres'),
        bench: per('bench'),
      },
      residentMb: {
        relay: usageOf(processes.relay).peakMb,
        projector: usageOf(processes.projector).peakMb,
        kafka: usageOf(processes.kafka).peakMb,
      },
    };
  } finally {
    await load.close();
    await projector.stop();
    await relay.stop();
  }
}
