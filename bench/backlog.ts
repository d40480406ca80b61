/** How fast a backlog is worked off: over the whole path, and in each part alone. */
import type { Pipeline } from '../services/local-stack/pipeline.ts';
import type { RunningRole } from '../services/local-stack/run-role.ts';
import { until } from '../services/local-stack/until.ts';
import { fillOutbox } from './load.ts';
import { emptyEverything, emptyView, holdRelays } from './reset.ts';

const SELLERS = 5_000;

export interface BacklogResult {
  /** From releasing the relay to the last event in the view; both processes wait at the start. */
  readonly throughSeconds: number;
  /** Outbox to topic without a projector, from releasing the relay. */
  readonly relayPerSecond: number;
  /** Topic to view without a relay, from the start of the process. */
  readonly projectorPerSecond: number;
}

export async function measureBacklog(pipeline: Pipeline, events: number): Promise<BacklogResult> {
  const versions = events / SELLERS;
  const complete = async () => {
    const { rows } = await pipeline.view.query('select sum(version) as sum from top_clients');
    return Number(rows[0].sum) === SELLERS * versions;
  };
  const relayed = async (relay: RunningRole) => (await relay.metric('topclients_relay_sent_total')) >= events;

  await emptyEverything(pipeline);
  await fillOutbox(pipeline.source, events, SELLERS, 1);
  let letGo = await holdRelays(pipeline);
  let relay = await pipeline.relay();
  let projector = await pipeline.projector();
  let startedAt = performance.now();
  await letGo();
  await until('the backlog is through', complete, 120_000, 50);
  const throughSeconds = (performance.now() - startedAt) / 1_000;
  await projector.stop();
  await relay.stop();

  await emptyEverything(pipeline);
  await fillOutbox(pipeline.source, events, SELLERS, 1);
  letGo = await holdRelays(pipeline);
  relay = await pipeline.relay();
  startedAt = performance.now();
  await letGo();
  await until('the outbox is relayed', () => relayed(relay), 120_000, 50);
  const relayPerSecond = events / ((performance.now() - startedAt) / 1_000);
  await relay.stop();

  await emptyView(pipeline);
  startedAt = performance.now();
  projector = await pipeline.projector();
  await until('the topic is projected', complete, 120_000, 50);
  const projectorPerSecond = events / ((performance.now() - startedAt) / 1_000);
  await projector.stop();
  return { throughSeconds, relayPerSecond, projectorPerSecond };
}
