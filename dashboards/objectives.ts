/**
 * Our objectives, over 30 days, and how fast a budget may be spent before somebody is alerted.
 *
 * The pairs of windows and their rates are those of the SRE workbook, chapter 5, "Alerting on SLOs", its sixth and
 * recommended approach: https://sre.google/workbook/alerting-on-slos/. The long window shows that a part of the budget
 * is gone, the short one that it is still being spent, so that an alert ends soon after its cause.
 */
import { ERASURE_CONFIRMED_WITHIN_MINUTES } from '#contracts/erasures.ts';
import type { RuleWindow } from './rules/recorded.ts';

export type ObjectiveName = 'renders' | 'completeness' | 'freshness';

interface Objective {
  /** The share of good events. */
  readonly target: number;
  readonly title: string;
  readonly means: string;
}
export const OBJECTIVES: Readonly<Record<ObjectiveName, Objective>> = {
  renders: {
    target: 0.9995,
    title: 'Renders',
    means: 'Pages answered, whatever they show of top clients; an error page is a bad one',
  },
  completeness: {
    target: 0.995,
    title: 'Completeness',
    means: 'Of the pages answered, those that showed all they should: outcome full, not missing or stale',
  },
  freshness: {
    target: 0.99,
    title: 'Freshness',
    means:
      "Of the changes made to the synthetic seller once a second, those found in the page's database within 5 s; one that is never found is a bad one",
  },
};

/** A change must be seen within this, in seconds. A bucket of the canary's histogram ends exactly here. */
export const FRESH_SECONDS = 5;

export const BUDGET_WINDOW = '30d' satisfies RuleWindow;

export interface Burn {
  /** How many times faster than the rate at which the budget would last 30 days. */
  readonly rate: number;
  readonly long: Exclude<RuleWindow, '30d'>;
  readonly short: Exclude<RuleWindow, '30d'>;
  readonly severity: 'critical' | 'warning';
}
/** 2 % of the budget in an hour, 5 % in six hours, 10 % in three days. */
export const BURNS: readonly Burn[] = [
  { rate: 14.4, long: '1h', short: '5m', severity: 'critical' },
  { rate: 6, long: '6h', short: '30m', severity: 'critical' },
  { rate: 1, long: '3d', short: '6h', severity: 'warning' },
];

/** The share of bad events at this burn rate; rounded, because 1 − 0.9995 is not 0.0005 in binary. */
export const badAt = (objective: ObjectiveName, rate = 1): number =>
  Number(((1 - OBJECTIVES[objective].target) * rate).toPrecision(6));

/** Limits beyond which a person is alerted, in seconds. */
export const LIMITS = {
  /** The newest change seen on a page is older than this. */
  canaryLate: 60,
  /** A committed change waits longer than this to be sent. */
  relayStuck: 60,
  /** The last complete comparison of a view ended longer ago than this. */
  notCompared: 1_800,
  /** The self-view last deleted what it may not keep longer ago than this. */
  notForgotten: 900,
  /** The used share of a server's notification queue: this much is gigabytes that some session has not read. */
  notifyQueueUsed: 0.25,
  /** The identity provider's keys were last fetched longer ago than this, in seconds: three times the usual period. */
  keysNotFetched: 900,
  /** A republish run has made no progress for longer than this. */
  republishStalled: 900,
  /** A store other than the topic has not confirmed an erasure for longer than this. */
  erasureLate: ERASURE_CONFIRMED_WITHIN_MINUTES * 60,
  /** The topic has not confirmed it for longer than this after the promised days: time for two reads of the topic. */
  erasedOnTopic: 43_200,
  /** A standby of a PostgreSQL server has replayed nothing newer than this. */
  standbyBehind: 60,
} as const;
