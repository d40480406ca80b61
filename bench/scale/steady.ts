/** One point: what the pipeline costs, and how late the view is, at a steady rate. */
import type { Pipeline } from '../../services/local-stack/pipeline.ts';
import type { RunningRole } from '../../services/local-stack/run-role.ts';
import { watchOthers } from '../machine.ts';
import { watchWaits } from '../observer.ts';
import { cpuOfTree, usageOf } from '../usage.ts';
import type { Place, SteadyRun } from './results.ts';
import type { Writers } from './writers.ts';

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
  const waits = await watchWaits(pipeline, at.perSecond);
  const roundsBefore = await rounds();
  const othersTook = watchOthers();
  const [startedAt, before] = [performance.now(), cpu()];
  const { writes, longestWaitMs } = await writers.write(at, at.perSecond, seconds, waits.written);
  const after = cpu();
  const took = (performance.now() - startedAt) / 1_000;
  const others = othersTook();
  const roundsAfter = await rounds();
  const { p50, p99, samples } = await waits.finish();
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
    latencyMs: { p50, p99, samples },
    writersLateMs: longestWaitMs,
    othersCores: others,
  };
}
