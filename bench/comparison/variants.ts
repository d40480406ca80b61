/** What is compared: pages, deliveries, and faults. */
import type { Delivery } from '#contracts/delivery.ts';

export const VARIANT_NAMES = ['off', 'serial', 'parallel', 'hybrid', 'asynchronous'] as const;
export type VariantName = (typeof VARIANT_NAMES)[number];

/** `off` is the page without the feature: the baseline. */
export const VARIANTS: Readonly<Record<VariantName, { delivery: Delivery; parallel?: boolean }>> = {
  off: { delivery: 'off' },
  serial: { delivery: 'synchronous', parallel: false },
  parallel: { delivery: 'synchronous', parallel: true },
  hybrid: { delivery: 'hybrid' },
  asynchronous: { delivery: 'asynchronous' },
};

/** `source-*`: the source of truth is killed, answers 200 ms late, or answers 500. */
export const CONDITION_NAMES = [
  'healthy',
  'source-killed',
  'source-slow',
  'source-500',
  'kafka-down',
] as const;
export type ConditionName = (typeof CONDITION_NAMES)[number];

/** How much later the slow source answers, in ms; more than a page waits by default (150). */
export const SLOW_MS = 200;
