import type { Tracing } from '#platform/span.ts';
import type { Projection } from '../../services/pages/projection.ts';
import { fullList } from '../../services/pages/views/full-list.ts';
import type { ProjectorMetrics } from '../../services/projector/metrics.ts';
import { Projector } from '../../services/projector/projector.ts';
import { randomFor } from '../../services/seed/random.ts';
import type { SimProcess } from './process.ts';
import { openSimBus } from './sim-bus.ts';
import { openSimViewStore, SESSION_TIMEOUT_MS } from './sim-view-store.ts';
import type { Stage } from './stage.ts';

const nothing = () => {};
const NOTHING_COUNTED: ProjectorMetrics = {
  observer: { applied: nothing, repaired: nothing, skipped: nothing, parked: nothing, muted: nothing },
  redriven: nothing,
  rebalanced: nothing,
  stalled: nothing,
  parkedSellers: nothing,
};

/**
 * @param fail called when it cannot go on
 * @returns a function that ends it as SIGTERM does
 */
export function runProjector(
  world: Stage,
  process: SimProcess,
  fail: (err: unknown) => void,
): () => Promise<void> {
  const projector = new Projector(
    openSimBus(world.topic, process, world.setup.brokers),
    {
      page: 'gig',
      delivery: 'asynchronous',
      projection: fullList as Projection,
      tracing: { isOn: false } as Tracing,
      openStore: () => openSimViewStore(world.view, process),
      sessionTimeoutMs: SESSION_TIMEOUT_MS,
      clock: process.clock,
      random: randomFor('projector', world.scheduler.events, world.seed).fraction,
    },
    () => NOTHING_COUNTED,
    world.logOf(process),
    fail,
  );
  projector.start();
  return () => projector.stop();
}
