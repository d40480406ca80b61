import { randomFor } from '../../services/seed/random.ts';
import { postgresSource } from '../../services/top-clients/adapters/postgres/audit-source.ts';
import { type Session, type WatchSettings, watchView } from '../../services/view-audit/watch.ts';
import type { SimProcess } from './process.ts';
import { simView } from './sim-view.ts';
import { sourceDatabase } from './source-statements.ts';
import type { Stage } from './stage.ts';

const SETTINGS: Omit<WatchSettings, 'repair'> = {
  sellersPerSecond: 1_000,
  pauseMs: 5_000,
  catchUpMs: 8_000,
  repairsPerPass: 100,
  repairsPerSecond: 100,
};
const STATEMENT_TIMEOUT_MS = 20_000;

export function runWatcher(world: Stage, process: SimProcess): Promise<void> {
  const random = randomFor('watcher', world.scheduler.events, world.seed);
  const open = async (): Promise<Session> => {
    const source = await world.source.server.connect(process, () => {}, STATEMENT_TIMEOUT_MS);
    const view = await world.view.server.connect(process, () => {}, STATEMENT_TIMEOUT_MS);
    return {
      source: postgresSource(sourceDatabase(world.source, source), world.logOf(process), process.clock),
      view: simView(world.view, view),
      topic: {
        // Up to the high watermark: messages behind an open transaction are on their way to the view as well.
        ends: () =>
          world.topic.call(
            process,
            () =>
              new Map(
                world.topic.partitions.map((log, partition) => [
                  partition,
                  { first: log.first, next: log.end },
                ]),
              ),
          ),
      },
      repairs: world.source.repairs(source),
      close: async () => {
        await Promise.all([source.end(), view.end()]);
      },
    };
  };
  return watchView(
    open,
    { ...SETTINGS, repair: world.setup.watcher === 'repairs' },
    { compared: () => {}, repaired: () => {}, unhealed: () => {}, failed: () => {} },
    world.logOf(process),
    new AbortController().signal,
    process.clock,
    random.fraction,
  );
}
