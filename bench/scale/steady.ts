/** One point: what the pipeline costs, and how late the view is, at a steady rate. */
import type { Pipeline } from '../../services/local-stack/pipeline.ts';
import type { RunningRole } from '../../services/local-stack/run-role.ts';
import { watchOthers } from '../machine.ts';
import { observeView } from '../observer.ts';
import { cpuOfTree, usageOf } from '../usage.ts';
import type { Place, SteadyRun } from './results.ts';
import type { Writers } from './writers.ts';

/** Writes a second whose visibility is watched, at most: watching costs as much as the pipeline itself. */
const WATCHED_PER_SECOND = 50;

export interface Running {
  readonly pipeline: Pipeline;
  readonly writers: Writers;
  readonly relay: RunningRole;
  readonly projectors: readonly RunningRole[];
}

export async function measureSteady(running: Running, at: Place, seconds: number): Promise<SteadyRun> {
  const { pipeline, writers, relay, projectors } = running;
  const cpu = () => ({
    relay: usageOf(relay.pid).cpuSeconds,
    projectors: projectors.reduce((sum, { pid }) => sum + usageOf(pid).cpuSeconds, 0),
    kafka: usageOf(pipeline.kafka.pid).cpuSeconds,
    source: cpuOfTree(pipeline.postgres.pid),
    pages: cpuOfTree(pipeline.pagesPostgres.pid),
  });
  const rounds = async () => {
    const ofProjectors = await Promise.all(
      projectors.map((one) => one.metric('topclients_projector_batch_size_count')),
    );
    return {
      relay: await relay.metric('topclients_relay_batch_size_count'),
      projectors: ofProjectors.reduce((sum, count) => sum + count, 0),
    };
  };
  const observer = await observeView(pipeline);
  const roundsBefore = await rounds();
  const othersTook = watchOthers();
  const [startedAt, before] = [performance.now(), cpu()];
  const oneOf = Math.ceil(at.perSecond / WATCHED_PER_SECOND);
  let count = 0;
  const { writes, longestWaitMs } = await writers.write(at, at.perSecond, seconds, (one) => {
    if (count++ % oneOf === 0) observer.expect(one);
  });
  const after = cpu();
  const took = (performance.now() - startedAt) / 1_000;
  const others = othersTook();
  const roundsAfter = await rounds();
  const latencies = (await observer.finish())
    .map((one) => one.visibleAt - one.at)
    .sort((one, other) => one - other);
  const quantile = (share: number) =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))]!;
  return {
    at: new Date().toISOString(),
    events: writes,
    seconds: took,
    cpuSeconds: {
      relay: after.relay - before.relay,
      projectors: after.projectors - before.projectors,
      kafka: after.kafka - before.kafka,
      source: after.source - before.source,
      pages: after.pages - before.pages,
    },
    rounds: {
      relay: roundsAfter.relay - roundsBefore.relay,
      projectors: roundsAfter.projectors - roundsBefore.projectors,
    },
    latencyMs: { p50: quantile(0.5), p99: quantile(0.99), samples: latencies.length },
    writersLateMs: longestWaitMs,
    othersCores: others,
  };
}
