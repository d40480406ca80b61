import type { ViewId } from '#cdk8s/api/page-view.ts';
import { isSameView, isView, type ShownView } from '#cdk8s/platform.ts';
import { timestamp } from '../../runtime/conditions.ts';

export interface Building extends ViewId {
  readonly startedAt: string;
  /** Present when this build is a rollback: the view was kept, its rows exist, and they were to be kept until then. */
  readonly keptUntil?: string | undefined;
  /** The highest lag in records since the build began; `lag` is the latest. */
  readonly startLag?: number | undefined;
  readonly lag?: number | undefined;
  readonly comparedAt?: string | undefined;
  readonly differing?: number | undefined;
}
export interface Kept extends ViewId {
  /** When it may be removed; `LEAVING` once removal begins: then it is not projected, and never shown again. */
  readonly until: string;
}
/** What has to outlive the operator process; it is stored in the status. */
export interface ViewMemory {
  /** Null before the first decision. */
  readonly shown: ShownView | null;
  readonly building: Building | null;
  readonly kept: readonly Kept[];
}

/** What a comparison of a view with the source found. */
export interface ComparisonVerdict {
  readonly sellers: number;
  readonly differing: number;
  /** Some of the sellers that differ. */
  readonly examples: readonly (string | number)[];
  /** False when the view had not caught up to where the source was when the comparison began. */
  readonly caughtUp: boolean;
}
/** The comparison of the current attempt. */
export type Comparison =
  | { readonly state: 'none' | 'running' }
  | { readonly state: 'failed'; readonly because: string }
  | { readonly state: 'ended'; readonly verdict: ComparisonVerdict };

/** Records behind, or why that is not known. */
export type Lag = number | { readonly unknown: string };

/** What is left of a view in the cluster. */
export interface ViewRemains {
  /** Whether projectors are left, down to the last pod. */
  readonly projector: boolean;
  /** The job that removes its rows. */
  readonly drop: 'none' | 'running' | 'done' | 'failed';
}

export interface ViewSituation {
  /** ms since the epoch */
  readonly now: number;
  readonly wanted: ShownView;
  readonly keepMs: number;
  readonly memory: ViewMemory;
  /** The lag of the view being built. */
  readonly lag: Lag;
  readonly comparison: Comparison;
  readonly remainsOf: (view: ViewId) => ViewRemains;
  /** The page shows `memory.shown`, and no pod anything else. */
  readonly isShown: boolean;
  /** The last value of the condition ViewCurrent. */
  readonly said: { readonly reason: string; readonly message: string } | null;
}

export interface ViewDecision {
  readonly memory: ViewMemory & { readonly shown: ShownView };
  /** The views that projectors keep up. */
  readonly projected: readonly ViewId[];
  /** Those projected views that were shown before and may be shown again. */
  readonly keptUp: readonly ViewId[];
  readonly compare: { readonly view: ViewId; readonly attempt: number } | null;
  /** Views whose rows are to be removed now. */
  readonly drop: readonly ViewId[];
  readonly current: { readonly status: 'True' | 'False'; readonly reason: string; readonly message: string };
  readonly events: readonly ViewEvent[];
  /** When to look again without a change; null when there is nothing to wait for. */
  readonly requeueAfterMs: number | null;
}
export interface ViewEvent {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

/** An instant that is past on every clock, so that a leader whose clock is behind agrees. */
export const LEAVING = '1970-01-01T00:00:00Z';
/** A projector applies this many records almost at once, and under steady writes the lag is rarely 0. */
const NEARLY = 1_000;
const COMPARE_AGAIN_MS = { differs: 60_000, otherwise: 10_000 };

export const describeView = (shown: ShownView): string =>
  isView(shown) ? `${shown.delivery} v${shown.version}` : shown.delivery;
export const idOf = ({ delivery, version }: ViewId): ViewId => ({ delivery, version });
export const isLeaving = ({ until }: Kept): boolean => until === LEAVING;
/**
 * The number of the comparison that decides about a view now. It is derived from an instant, so no earlier build of the
 * same view, and no earlier operator, can have left a job of that name with another verdict.
 */
export const attemptOf = ({ startedAt, comparedAt }: Building): number =>
  Math.floor(Date.parse(comparedAt ?? startedAt) / 1_000);

/** The view column: `v1`, `v1 → v2 80 %`, `synchronous → hybrid v1 0 %`. */
export function viewColumn({ shown, building }: ViewDecision['memory']): string {
  const plain = isView(shown) && (!building || building.delivery === shown.delivery);
  const name = (view: ShownView) => (plain && isView(view) ? `v${view.version}` : describeView(view));
  if (!building) return name(shown);
  const result = building.differing ? 'differs' : `${progress(building)} %`;
  return `${name(shown)} → ${name(building)} ${result}`;
}

function progress({ startLag, lag }: Building): number {
  if (startLag === undefined || lag === undefined) return 0;
  if (lag === 0) return 100;
  return Math.min(99, Math.max(0, Math.floor((100 * (startLag - lag)) / Math.max(1, startLag))));
}

/**
 * Decides which view a page shows, which views projectors keep up to date, and what is done about the others. A view is
 * shown only when a comparison since it was wanted found it equal to the source, or when it is the page's first. A view
 * that was kept for a rollback is compared like a newly built one: it was right when it was replaced, but nobody has
 * checked it since. A page that cannot wait for the comparison can use a delivery without a view.
 */
export function decideView(situation: ViewSituation): ViewDecision {
  const { now, wanted, keepMs, remainsOf, said } = situation;
  const events: ViewEvent[] = [];
  const tell = (type: ViewEvent['type'], reason: string, message: string) =>
    events.push({ type, reason, message });

  let { shown, building, kept } = situation.memory;
  if (shown === null) {
    shown = wanted;
    tell('Normal', 'FirstView', `shows ${describeView(wanted)}`);
  }
  // The release before did not note it. Its database may show any of the views that stand.
  if (isView(shown) && shown.since === undefined && kept.length > 0)
    shown = { ...shown, since: timestamp(now) };

  const gone = (view: Kept) => {
    const { projector, drop } = remainsOf(view);
    return isLeaving(view) && !projector && drop === 'done';
  };
  for (const view of kept.filter(gone))
    tell('Normal', 'ViewDropped', `removed the rows of ${describeView(view)}`);
  kept = kept.filter((view) => !gone(view));

  if (building && !isSameView(building, wanted)) {
    tell(
      'Normal',
      building.keptUntil === undefined ? 'BuildAbandoned' : 'RollbackAbandoned',
      `${describeView(building)} is not wanted any more; ${describeView(wanted)} is`,
    );
    kept = [...kept, { ...idOf(building), until: building.keptUntil ?? LEAVING }];
    building = null;
  }

  const take = (next: ShownView, why: string) => {
    const before = shown!;
    kept = kept.filter((view) => !isSameView(view, next));
    if (isView(before)) kept = [...kept, { ...idOf(before), until: timestamp(now + keepMs) }];
    shown = isView(next) ? { ...idOf(next), since: timestamp(now) } : next;
    building = null;
    tell('Normal', 'ViewSwitched', `shows ${describeView(next)} instead of ${describeView(before)}: ${why}`);
  };

  let current: ViewDecision['current'] | null = null;
  const not = (reason: string, message: string) => {
    current = { status: 'False', reason, message };
  };
  let compare: ViewDecision['compare'] = null;
  if (!isSameView(shown, wanted)) {
    const stands = isView(wanted) ? kept.find((view) => isSameView(view, wanted)) : undefined;
    if (!isView(wanted)) take(wanted, 'it needs no view');
    else if (stands && !isLeaving(stands)) {
      kept = kept.filter((view) => view !== stands);
      building = { ...idOf(wanted), startedAt: timestamp(now), keptUntil: stands.until };
      tell(
        'Normal',
        'RollbackStarted',
        `compares ${describeView(wanted)}, which was kept up, before it is shown`,
      );
      not(
        'Building',
        `${describeView(wanted)} was kept up and is compared first; ${describeView(shown)} is shown until it matches`,
      );
    } else if (stands || remainsOf(wanted).drop !== 'none') {
      not('Clearing', `${describeView(wanted)} is built once what is left of an earlier one is removed`);
    } else if (!building) {
      building = { ...idOf(wanted), startedAt: timestamp(now) };
      tell('Normal', 'BuildStarted', `builds ${describeView(wanted)} beside ${describeView(shown)}`);
      not(
        'Building',
        `${describeView(wanted)} is being built; ${describeView(shown)} is shown until it matches`,
      );
    } else {
      const judged = judge(situation, building, shown);
      building = judged.building;
      if (judged.matches) take(wanted, judged.message);
      else {
        if (judged.alarming) tell('Warning', judged.reason, judged.message);
        const held = judged.reason === 'Building' && building.comparedAt !== undefined && said !== null;
        if (held && HELD.has(said.reason)) not(said.reason, said.message);
        else not(judged.reason, judged.message);
        if (judged.compare) compare = { view: idOf(building), attempt: attemptOf(building) };
      }
    }
  }

  // Pods that read the earlier view must be gone first. Right after a decision the new pods do not exist yet.
  const settled =
    situation.isShown && situation.memory.shown !== null && isSameView(shown, situation.memory.shown);
  kept = kept.map((view) =>
    settled && Date.parse(view.until) <= now ? { ...idOf(view), until: LEAVING } : view,
  );
  const staying = kept.filter((view) => !isLeaving(view));
  const leaving = kept.filter(isLeaving);
  const projected = [...(isView(shown) ? [shown] : []), ...staying, ...(building ? [building] : [])].map(
    idOf,
  );

  const waits = [
    building ? 2_000 : null,
    leaving.length > 0 || (current !== null && !building) ? 5_000 : null,
    ...staying.map(({ until }) => Math.max(1_000, Date.parse(until) - now)),
  ].filter((ms) => ms !== null);
  return {
    memory: { shown, building, kept },
    projected,
    keptUp: [...staying, ...(building?.keptUntil === undefined ? [] : [building])].map(idOf),
    compare,
    drop: leaving.filter((view) => !remainsOf(view).projector).map(idOf),
    current: current ?? { status: 'True', reason: 'Current', message: `${describeView(shown)} is shown` },
    events,
    requeueAfterMs: waits.length > 0 ? Math.min(...waits) : null,
  };
}

/** Reasons that stay until the next comparison gives another one. */
const HELD = new Set(['ViewDiffers', 'CompareFailed']);

interface Judgement {
  readonly building: Building;
  readonly matches: boolean;
  readonly reason: string;
  readonly message: string;
  /** A comparison is to be run, or is running. */
  readonly compare: boolean;
  /** A comparison has just ended badly. */
  readonly alarming: boolean;
}

/** Judges how far the view that is being built has caught up. */
function judge({ now, lag, comparison }: ViewSituation, before: Building, shown: ShownView): Judgement {
  const known = typeof lag === 'number';
  // The lag may grow: more may be written than is read meanwhile.
  const building: Building = known
    ? { ...before, lag, startLag: Math.max(before.startLag ?? 0, lag) }
    : before;
  const notYet = (reason: string, message: string, more: Partial<Judgement> = {}): Judgement => ({
    building,
    matches: false,
    reason,
    message,
    compare: false,
    alarming: false,
    ...more,
  });
  const compared = (differing?: number): Building => ({ ...building, comparedAt: timestamp(now), differing });
  const name = describeView(building);
  const instead = `${describeView(shown)} is shown until it matches`;

  switch (comparison.state) {
    case 'ended': {
      const { sellers, differing, examples, caughtUp } = comparison.verdict;
      if (!caughtUp) {
        return notYet('Building', `${name} has not read all events yet; ${instead}`, {
          building: compared(),
        });
      }
      if (differing === 0) {
        return notYet('Matches', `all ${sellers} sellers are as in the source`, { matches: true });
      }
      const few = examples.length > 0 ? `, such as ${examples.slice(0, 5).join(', ')}` : '';
      const remedy =
        building.keptUntil === undefined
          ? `Go back to ${describeView(shown)}, or correct what fills the view and set another spec.view.version`
          : `Its watcher repairs it where spec.watch allows that; else go back to ${describeView(shown)}, set a ` +
            'spec.view.version that was never used, or show no view by spec.delivery synchronous or off';
      return notYet(
        'ViewDiffers',
        `${name} is not shown: ${differing} of ${sellers} sellers differ from the source${few}. ` +
          `${remedy}; it is compared again every minute`,
        { building: compared(differing), alarming: true },
      );
    }
    case 'failed':
      return notYet(
        'CompareFailed',
        `${name} could not be compared with the source: ${comparison.because}; it is tried again`,
        { building: compared(before.differing), alarming: true },
      );
    case 'running':
      return notYet('Building', `${name} is being compared with the source; ${instead}`, { compare: true });
    case 'none': {
      if (!known)
        return notYet('Building', `how far ${name} is behind is not known: ${lag.unknown}; ${instead}`);
      const waitMs = building.differing ? COMPARE_AGAIN_MS.differs : COMPARE_AGAIN_MS.otherwise;
      const due = building.comparedAt === undefined || now >= Date.parse(building.comparedAt) + waitMs;
      return notYet(
        'Building',
        `${name} has ${lag} of ${building.startLag} records to go (${progress(building)} %); ${instead}`,
        { compare: lag <= NEARLY && due },
      );
    }
  }
}
