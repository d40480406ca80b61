import { applyAction, heal } from './faults.ts';
import type { Finding } from './judge.ts';
import type { Plan } from './plan.ts';
import { withoutRealTime } from './real-time.ts';
import type { Entry } from './trace.ts';
import { SimWorld } from './world.ts';

export interface Outcome {
  readonly findings: readonly Finding[];
  /** Duration of the run in virtual ms. */
  readonly tookMs: number;
  readonly events: number;
  /** Equal for two runs that took the same course. */
  readonly hash: number;
  /** Empty unless tracing was asked for. */
  readonly entries: readonly Entry[];
}

/** Within this time after the last fault everything must be right, in virtual ms; and then stay right for a while. */
const RIGHT_WITHIN_MS = 100_000;
const STAYS_RIGHT_MS = 2_500;
const LOOK_EVERY_MS = 500;

/**
 * Runs a plan in virtual time, within one turn of Node's event loop. Must be called from a macrotask
 * (`setImmediate`), or its microtasks would not run.
 */
export function simulate({ seed, setup, actions }: Plan, isTraced = false): Outcome {
  // Errors are normal here, and their stacks would cost a tenth of a run.
  const { stackTraceLimit } = Error;
  if (!isTraced) Error.stackTraceLimit = 0;
  try {
    return runPlan({ seed, setup, actions }, isTraced);
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function runPlan({ seed, setup, actions }: Plan, isTraced: boolean): Outcome {
  return withUnhandledRejections((unhandled) =>
    withoutRealTime(() => {
      const world = new SimWorld(seed, setup, isTraced);
      const { scheduler, judge } = world;
      unhandled((err) => {
        // As in a separate process, an unhandled rejection ends it.
        const place = world.places.find(({ process }) => process !== null && process === scheduler.current);
        judge.processFailed(place?.name ?? 'nobody', err);
      });
      for (const place of world.places) if (place.isWanted) world.start(place);
      for (const action of actions) scheduler.at(action.at, null, () => applyAction(world, action));
      scheduler.run(setup.faultsEndAt);
      heal(world);
      const lastWriteAt = actions.findLast(({ kind }) => kind === 'write')?.at ?? 0;
      const mustBeRightAt = Math.max(setup.faultsEndAt, lastWriteAt) + RIGHT_WITHIN_MS;
      let rightSince: number | null = null;
      let waits: readonly Finding[] = [];
      while (scheduler.now < mustBeRightAt && judge.findings.length === 0) {
        scheduler.run(scheduler.now + LOOK_EVERY_MS);
        waits = scheduler.now <= lastWriteAt + LOOK_EVERY_MS ? [] : judge.whatWaits();
        if (waits.length > 0 || scheduler.now <= lastWriteAt + LOOK_EVERY_MS) rightSince = null;
        else rightSince ??= scheduler.now;
        if (rightSince !== null && scheduler.now - rightSince >= STAYS_RIGHT_MS) break;
      }
      judge.atTheEnd(waits);
      return {
        findings: judge.findings,
        tookMs: scheduler.now,
        events: scheduler.events,
        hash: scheduler.hash,
        entries: judge.trace?.entries ?? [],
      };
    }),
  );
}

function withUnhandledRejections<T>(work: (told: (listener: (err: unknown) => void) => void) => T): T {
  let listener: ((err: unknown) => void) | undefined;
  const onUnhandled = (err: unknown) => listener?.(err);
  process.on('unhandledRejection', onUnhandled);
  try {
    return work((told) => {
      listener = told;
    });
  } finally {
    process.off('unhandledRejection', onUnhandled);
  }
}
