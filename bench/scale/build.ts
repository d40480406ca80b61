/** A view built from nothing: a topic with one event a seller, by one projector and by two. */
import { type Pipeline, startPipeline } from '../../services/local-stack/pipeline.ts';
import { until } from '../../services/local-stack/until.ts';
import { fillTopic } from '../load.ts';
import { watchOthers } from '../machine.ts';
import { emptyEverything, emptyView } from '../reset.ts';
import { cpuOfTree, usageOf } from '../usage.ts';
import type { BuildRun } from './results.ts';

export const BUILD_SIZES = [10_000, 30_000, 100_000, 300_000, 1_000_000] as const;
/** Small ones are over in a second, so they are built more than once. */
const REPEATED_BELOW = 200_000;
const REPEATS = 3;
const LONGEST_MS = 300_000;

export async function measureBuilds(
  sizes: readonly number[],
  found: (place: { sellers: number; projectors: number }, run: BuildRun) => void,
): Promise<void> {
  const pipeline = await startPipeline();
  try {
    for (const sellers of sizes) {
      await emptyEverything(pipeline);
      await fillTopic(pipeline.kafka.bootstrap, sellers);
      const repeats = sellers < REPEATED_BELOW ? REPEATS : 1;
      for (const projectors of Array.from({ length: repeats }, () => [2, 1]).flat()) {
        found({ sellers, projectors }, await build(pipeline, sellers, projectors));
      }
    }
  } finally {
    await pipeline.stop();
  }
}

async function build(pipeline: Pipeline, sellers: number, projectors: number): Promise<BuildRun> {
  await emptyView(pipeline);
  const othersTook = watchOthers();
  const postgresBefore = cpuOfTree(pipeline.postgres.pid);
  const startedAt = performance.now();
  const running = await Promise.all(
    Array.from({ length: projectors }, (_, i) =>
      pipeline.projector(`projector-${projectors}-${i}`, { ready: false }),
    ),
  );
  const applied = async () => {
    const counts = await Promise.all(
      running.map((one) => one.metric('topclients_projector_events_total', 'result="applied"')),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  };
  try {
    await until('the view is built', async () => (await applied()) >= sellers, LONGEST_MS, 50);
    const seconds = (performance.now() - startedAt) / 1_000;
    const used = running.map(({ pid }) => usageOf(pid));
    const postgresCpuSeconds = cpuOfTree(pipeline.postgres.pid) - postgresBefore;
    const { rows } = await pipeline.view.query<{ count: number; bytes: string }>(
      `select count(*)::int as count, pg_total_relation_size('top_clients') as bytes from top_clients`,
    );
    const { count, bytes } = rows[0]!;
    if (count !== sellers) throw new Error(`the view has ${count} of ${sellers} sellers`);
    return {
      at: new Date().toISOString(),
      seconds,
      projectorCpuSeconds: used.reduce((sum, one) => sum + one.cpuSeconds, 0),
      postgresCpuSeconds,
      projectorPeakMb: Math.max(...used.map((one) => one.peakMb)),
      kafkaMb: usageOf(pipeline.kafka.pid).residentMb,
      viewBytes: Number(bytes),
      othersCores: othersTook(),
    };
  } finally {
    for (const one of running) await one.stop();
  }
}
