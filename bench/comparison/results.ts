/** The results of a run, and the statistics for the tables. Pure. */
import type { PageName } from '#contracts/pages.ts';
import type { Environment } from '../machine.ts';
import { median } from '../report.ts';
import type { Attack } from '../vegeta.ts';
import type { ComparisonOptions } from './options.ts';
import type { ConditionName, VariantName } from './variants.ts';
import type { Staleness } from './writes.ts';

/** One measurement of one round; one JSON file. */
export interface Run extends Attack {
  readonly page: PageName;
  readonly variant: VariantName;
  readonly condition: ConditionName;
  /** From 1 */
  readonly round: number;
  /** Percent of the visits that meet a seller with clients. */
  readonly share: number;
  readonly renders: number;
  readonly callsPerRender: number;
  /** Shares of all renders, each 0 to 1. */
  readonly outcomes: {
    readonly full: number;
    readonly missing: number;
    readonly stale: number;
    readonly error: number;
  };
  /** `postgres` covers all databases, also their background writes. `source` is null when it was down. */
  readonly cpuSecondsPerThousand: {
    readonly page: number;
    readonly source: number | null;
    readonly postgres: number;
  };
  /** Null for `off`. */
  readonly staleness: Staleness | null;
  /** Answers of status 200 a second at saturation; null when it was not measured. */
  readonly saturationPerSecond: number | null;
  /** The one-minute load average before the run. */
  readonly loadBefore: number;
  /** Cores that other processes used meanwhile. */
  readonly othersCores: number;
}

export interface Results {
  readonly environment: Environment;
  /** Without the folder, which differs between machines. */
  readonly options: Omit<ComparisonOptions, 'out'>;
  readonly runs: readonly Run[];
  readonly bytes: readonly {
    readonly share: number;
    readonly sellersWithClients: number;
    readonly tables: Readonly<Record<string, number>>;
  }[];
}

export interface Spread {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** Null when there is no value. */
export function spread(values: readonly (number | null)[]): Spread | null {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return null;
  return { min: Math.min(...known), median: median(known), max: Math.max(...known) };
}

/** The value below which a share of the values lies (nearest rank). Null when there are none. */
export function quantile(values: readonly number[], share: number): number | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(sorted.length * share) - 1))]!;
}

/** When others use more cores than this, a measurement counts as disturbed. */
export const DISTURBED_CORES = 0.2;

/** A sentence about how far the figures can be trusted. */
export function disturbance({ runs, environment, options }: Results): string {
  const others = spread(runs.map((run) => run.othersCores));
  const disturbed = runs.filter((run) => run.othersCores > DISTURBED_CORES).length;
  const lateness = Math.max(0, ...runs.map((run) => run.latestStartMs ?? 0));
  const sentences = [
    disturbed === 0
      ? 'Nobody else used the machine.'
      : `**The machine was busy**: during ${disturbed} of ${runs.length} measurements others took more than ${DISTURBED_CORES} of its ${environment.cores} cores (median ${(others?.median ?? 0).toFixed(2)}, at most ${(others?.max ?? 0).toFixed(2)}). Compare variants, not machines.`,
    `The load generator was at most ${lateness.toFixed(0)} ms behind its own schedule.`,
  ];
  if (options.quick) sentences.push('**A quick run**: short and once, for a glance, not for a verdict.');
  return sentences.join(' ');
}
