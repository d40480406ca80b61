import type { Log } from '#platform/log.ts';
import { PartitionStalled } from '../../services/projector/projector.ts';
import { Judge } from './judge.ts';
import { PageServer } from './page-role.ts';
import type { Role, Setup } from './plan.ts';
import { SimProcess } from './process.ts';
import { runProjector } from './projector-role.ts';
import { runRelay } from './relay-role.ts';
import { Scheduler } from './scheduler.ts';
import { SimSource } from './sim-source.ts';
import { SimTopic } from './sim-topic.ts';
import { SimViewDatabase } from './sim-view-database.ts';
import type { Stage } from './stage.ts';
import { Trace } from './trace.ts';
import { runWatcher } from './watcher-role.ts';

/** A slot for a process: empty, or with the one started last. */
export interface Place {
  readonly name: string;
  readonly role: Role;
  /** Whether a process should run here once the faults are over. */
  isWanted: boolean;
  process: SimProcess | null;
  /** For a projector: ends it as SIGTERM does. */
  stop: (() => Promise<void>) | null;
}

/** After this time a process that ended by itself is started again, in ms. */
const RESTART_MS = 500;

/** Everything that takes part in a run. */
export class SimWorld implements Stage {
  readonly seed: number;
  readonly setup: Setup;
  readonly scheduler: Scheduler;
  readonly judge: Judge;
  readonly source: SimSource;
  readonly topic: SimTopic;
  readonly view: SimViewDatabase;
  readonly places: readonly Place[];
  readonly pages = new Map<Place, PageServer>();
  #starts = 0;

  constructor(seed: number, setup: Setup, isTraced: boolean) {
    this.seed = seed;
    this.setup = setup;
    this.scheduler = new Scheduler(seed);
    this.judge = new Judge(this.scheduler, isTraced ? new Trace(this.scheduler) : null);
    this.source = new SimSource(this.scheduler, seed, setup.partitions, this.judge);
    this.topic = new SimTopic(this.scheduler, seed, setup.partitions, this.judge);
    this.view = new SimViewDatabase(this.scheduler, seed, this.judge);
    Object.assign(this.judge, { source: this.source, topic: this.topic, view: this.view });
    const places = (role: Role, count: number, wanted = count): Place[] =>
      Array.from({ length: count }, (_, i) => ({
        name: `${role} ${i + 1}`,
        role,
        isWanted: i < wanted,
        process: null,
        stop: null,
      }));
    this.places = [
      ...places('projector', 3, setup.projectors),
      ...places('relay', setup.relays),
      ...places('page', setup.pages),
      ...places('watcher', setup.watcher === 'none' ? 0 : 1),
    ];
  }

  of(role: Role): Place[] {
    return this.places.filter((one) => one.role === role);
  }

  start(place: Place): void {
    if (place.process && !place.process.isDead) return;
    this.#starts += 1;
    const process = new SimProcess(this.scheduler, place.name);
    place.process = process;
    this.judge.note(place.name, () => 'starts');
    // Everything it does from its first line on belongs to this process.
    process.after(this.#starts % 7, () => this.#run(place, process));
  }

  /** kill -9 */
  kill(place: Place, lingerMs = 0): void {
    if (!place.process || place.process.isDead) return;
    this.judge.note(place.name, () =>
      lingerMs > 0 ? `is gone, its connections ${lingerMs} ms later` : 'is killed',
    );
    place.process.kill(lingerMs);
  }

  /** A process that cannot go on ends, and is started again. */
  ended(place: Place, process: SimProcess, err: unknown): void {
    if (process.isDead) return;
    this.judge.note(place.name, () => `ends: ${(err as Error)?.message ?? 'by itself'}`);
    if (err instanceof PartitionStalled) this.judge.stalled(place.name, err, this.setup.faultsEndAt);
    process.kill();
    this.scheduler.after(RESTART_MS, null, () => {
      if (place.isWanted && place.process === process) this.start(place);
    });
  }

  /** A log whose lines are entries of the trace. */
  logOf(process: SimProcess): Log {
    const { trace } = this.judge;
    const write = (level: string) => (fields: unknown, message?: string) => {
      if (trace) trace.note(process.name, `${level}: ${line(fields, message)}`, {});
    };
    const log = {
      debug: () => {},
      info: write('info'),
      warn: write('warn'),
      error: write('error'),
      fatal: write('fatal'),
      child: () => log,
    };
    return log as unknown as Log;
  }

  #run(place: Place, process: SimProcess): void {
    switch (place.role) {
      case 'projector':
        place.stop = runProjector(this, process, (err) => this.ended(place, process, err));
        return;
      case 'relay':
        this.#watch(place, process, runRelay(this, process));
        return;
      case 'page': {
        const page = new PageServer(this, process);
        this.pages.set(place, page);
        this.#watch(place, process, page.listen());
        return;
      }
      case 'watcher':
        this.#watch(place, process, runWatcher(this, process));
        return;
    }
  }

  #watch(place: Place, process: SimProcess, running: Promise<void>): void {
    running.catch((err) => {
      this.judge.processFailed(place.name, err);
      this.ended(place, process, err);
    });
  }
}

function line(fields: unknown, message?: string): string {
  if (typeof fields === 'string') return fields;
  const told = Object.entries(fields as object).map(
    ([name, value]) => `${name} ${value instanceof Error ? value.message : JSON.stringify(value)}`,
  );
  return `${message} (${told.join(', ')})`;
}
