/** The results of `make bench-scale`: what each part measured, merged over its runs. Pure. */
import type { Calibration } from '../calibration.ts';
import type { Environment } from '../machine.ts';
import type { Latencies } from '../vegeta.ts';

/** What the steady rate is measured against. */
export const AXIS_NAMES = ['rate', 'sellers', 'pages', 'shards', 'clients'] as const;
export type Axis = (typeof AXIS_NAMES)[number];

/** Where a steady rate was measured. */
export interface Place {
  readonly perSecond: number;
  readonly sellers: number;
  /** Page databases on the topic, each with a projector. */
  readonly pages: number;
  /** Of the outbox, all led by one relay. */
  readonly shards: number;
  /** In each list. */
  readonly clients: number;
}

/** Whose CPU is measured: all projectors together; the servers of the source's database and of the pages'. */
export const PROCESSES = ['relay', 'projectors', 'kafka', 'source', 'pages'] as const;
export type Process = (typeof PROCESSES)[number];

export interface SteadyRun {
  readonly at: string;
  readonly events: number;
  readonly seconds: number;
  readonly cpuSeconds: Readonly<Record<Process, number>>;
  /** Batches sent by the relay, and batches written by all projectors. */
  readonly rounds: { readonly relay: number; readonly projectors: number };
  /** Commit → visible, of the gig page's view. */
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly samples: number };
  readonly writersLateMs: number;
  readonly othersCores: number;
}

export interface BuildRun {
  readonly at: string;
  /** From the start of the processes to the last row. */
  readonly seconds: number;
  readonly projectorCpuSeconds: number;
  readonly postgresCpuSeconds: number;
  /** Of the largest projector. */
  readonly projectorPeakMb: number;
  readonly kafkaMb: number;
  readonly viewBytes: number;
  readonly othersCores: number;
}

export interface PageRun {
  readonly at: string;
  readonly latencyMs: Latencies;
  /** Of the page server. */
  readonly cores: number;
  /** Of the page's database. */
  readonly postgresCores: number;
  readonly okShare: number;
  readonly othersCores: number;
}

interface Runs<At, Run> {
  readonly place: At;
  readonly runs: readonly Run[];
}
export type SteadyPoint = Runs<Place, SteadyRun>;
export type BuildPoint = Runs<{ readonly sellers: number; readonly projectors: number }, BuildRun>;
export type PagePoint = Runs<{ readonly perSecond: number }, PageRun>;

export interface ScaleResults {
  /** As of the last part that was measured. */
  readonly environment: Environment;
  readonly calibrations: readonly Calibration[];
  /** How long each part took when it was measured last, in seconds. */
  readonly took: Readonly<Record<string, number>>;
  readonly axes: Readonly<Partial<Record<Axis, readonly SteadyPoint[]>>>;
  readonly builds: readonly BuildPoint[];
  readonly pages: readonly PagePoint[];
}

const sameAs = (one: object, other: object) =>
  JSON.stringify(Object.entries(one).sort()) === JSON.stringify(Object.entries(other).sort());

/** The points with one more run, in ascending order of what distinguishes them. */
export function withRun<At extends object, Run>(
  points: readonly Runs<At, Run>[],
  place: At,
  run: Run,
): Runs<At, Run>[] {
  const others = points.filter((point) => !sameAs(point.place, place));
  const before = points.find((point) => sameAs(point.place, place))?.runs ?? [];
  const size = (of: object) => Object.values(of).reduce((product: number, one) => product * Number(one), 1);
  return [...others, { place, runs: [...before, run] }].sort((a, b) => size(a.place) - size(b.place));
}

/** Whether other programs took so little during a measurement that it is of this one alone. In cores. */
export const isQuiet = ({ othersCores }: { readonly othersCores: number }): boolean => othersCores <= 0.25;

/** The results without runs that other programs disturbed, wherever a point has one that they did not. */
export function undisturbed(results: ScaleResults): ScaleResults {
  const quiet = <At, Run extends { readonly othersCores: number }>(
    points: readonly Runs<At, Run>[],
  ): Runs<At, Run>[] =>
    points.map(({ place, runs }) => {
      const some = runs.filter(isQuiet);
      return { place, runs: some.length > 0 ? some : runs };
    });
  const axes = Object.entries(results.axes).map(([axis, points]) => [axis, quiet(points)]);
  return {
    ...results,
    axes: Object.fromEntries(axes),
    builds: quiet(results.builds),
    pages: quiet(results.pages),
  };
}

export const valueAt = (axis: Axis, place: Place): number =>
  axis === 'rate' ? place.perSecond : place[axis];
