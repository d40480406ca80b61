/** Each role compared with the bare library that does the same work, one after the other in the same minute. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Pipeline } from '../services/local-stack/pipeline.ts';
import { until } from '../services/local-stack/until.ts';
import { fillOutbox } from './load.ts';
import { emptyEverything, emptyView, holdRelays } from './reset.ts';

export interface RatioResult {
  readonly relayPerSecond: number;
  readonly producerPerSecond: number;
  readonly relayRatio: number;
  readonly projectorPerSecond: number;
  readonly upsertPerSecond: number;
  readonly projectorRatio: number;
  /** A view of this many sellers built from the topic, from the start of the process to the last row. */
  readonly rebuildSeconds: number;
}

const run = async (script: string, args: readonly string[]): Promise<number> => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [fileURLToPath(new URL(script, import.meta.url)), ...args],
    { env: { ...process.env, NODE_OPTIONS: undefined } },
  );
  return Number(stdout.trim().split('\n').at(-1));
};

/** @param sellers each has one event, so that no two events can be merged */
export async function measureRatios(pipeline: Pipeline, sellers: number): Promise<RatioResult> {
  await emptyEverything(pipeline);
  // A quarter of them: it is as fast with these, and several times slower than the relay.
  const producerPerSecond = await run('bare-producer.ts', [pipeline.kafka.bootstrap, String(sellers / 4)]);

  await emptyEverything(pipeline);
  await fillOutbox(pipeline.source, sellers, sellers, 1);
  const letGo = await holdRelays(pipeline);
  const relay = await pipeline.relay();
  const sent = () => relay.metric('topclients_relay_sent_total');
  await letGo();
  const relayPerSecond = await rateOf(sent, sellers);
  await relay.stop();

  await emptyView(pipeline);
  const upsertPerSecond = await run('bare-upsert.ts', [pipeline.postgres.url('gig'), String(sellers)]);

  await emptyView(pipeline);
  const startedAt = performance.now();
  const projector = await pipeline.projector('projector', { ready: false });
  const applied = () => projector.metric('topclients_projector_events_total', 'result="applied"');
  const projectorPerSecond = await rateOf(applied, sellers);
  const rebuildSeconds = (performance.now() - startedAt) / 1_000;
  const { rows } = await pipeline.view.query('select count(*) as count from top_clients');
  if (rows[0].count !== sellers) throw new Error(`the view has ${rows[0].count} of ${sellers} sellers`);
  await projector.stop();
  return {
    relayPerSecond,
    producerPerSecond,
    relayRatio: relayPerSecond / producerPerSecond,
    projectorPerSecond,
    upsertPerSecond,
    projectorRatio: projectorPerSecond / upsertPerSecond,
    rebuildSeconds,
  };
}

/**
 * Units per second, from the last look before any was done to the first look when all were. A look costs the measured
 * process, so looks are frequent only before it begins and near the end.
 */
async function rateOf(count: () => Promise<number>, total: number): Promise<number> {
  let startedAt = performance.now();
  let waitMs = 50;
  await until(
    'all is done',
    async () => {
      const askedAt = performance.now();
      const done = await count();
      if (done === 0) startedAt = askedAt;
      else {
        const leftMs = ((performance.now() - startedAt) * (total - done)) / done;
        waitMs = Math.min(500, Math.max(20, leftMs / 2));
      }
      return done >= total;
    },
    120_000,
    () => waitMs,
  );
  return total / ((performance.now() - startedAt) / 1_000);
}
