import type { Log } from '#platform/log.ts';
import type { Judge } from './judge.ts';
import type { Setup } from './plan.ts';
import type { SimProcess } from './process.ts';
import type { Scheduler } from './scheduler.ts';
import type { SimSource } from './sim-source.ts';
import type { SimTopic } from './sim-topic.ts';
import type { SimViewDatabase } from './sim-view-database.ts';

/** What a role is given by its world. */
export interface Stage {
  readonly seed: number;
  readonly setup: Setup;
  readonly scheduler: Scheduler;
  readonly judge: Judge;
  readonly source: SimSource;
  readonly topic: SimTopic;
  readonly view: SimViewDatabase;
  /** A log whose lines are entries of the trace. */
  logOf(process: SimProcess): Log;
}
