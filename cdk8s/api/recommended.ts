import { resources } from './shared.ts';

/** What a pod of a role needs. */
export interface Recommendation {
  /** The default of the CPU request. */
  readonly cpu: string;
  /** The default of the memory request, and of its limit. */
  readonly memory: string;
  /** CPU time that one unit of its work took; null where that was not measured. */
  readonly work: { readonly unit: string; readonly micros: number; readonly measured: string } | null;
  /** The most memory that was seen, in MB; null where that was not measured. */
  readonly peak: { readonly megabytes: number; readonly measured: string } | null;
}

const SCALE = 'docs/scale.md';
const COMPARISON = 'docs/comparison.md';
const PIPELINE = 'bench/README.md';

/** Relay and projector together, in the small batches of a quiet hour. Under load an event costs a tenth of it. */
const EVENT = { unit: 'event', micros: 268, measured: PIPELINE };

/**
 * The requests of each role, and the measurements that they stand on. They are for a small marketplace, a million visits
 * a day: what a larger one needs follows from the cost of its work.
 */
export const RECOMMENDED = {
  source: {
    cpu: '50m',
    memory: '256Mi',
    work: { unit: 'call of a page', micros: 970, measured: COMPARISON },
    peak: null,
  },
  relay: { cpu: '50m', memory: '256Mi', work: EVENT, peak: null },
  projector: { cpu: '50m', memory: '256Mi', work: EVENT, peak: { megabytes: 251, measured: SCALE } },
  'page server': {
    cpu: '50m',
    memory: '256Mi',
    work: { unit: 'render', micros: 1263, measured: SCALE },
    peak: null,
  },
  'self-view': { cpu: '50m', memory: '256Mi', work: null, peak: null },
  watcher: { cpu: '50m', memory: '256Mi', work: null, peak: null },
  operator: { cpu: '50m', memory: '256Mi', work: null, peak: null },
} as const satisfies Readonly<Record<string, Recommendation>>;
export type RecommendedRole = keyof typeof RECOMMENDED;

/** Requests and limits of a role's container, with the recommended ones as defaults. */
export const resourcesOf = (role: RecommendedRole) =>
  resources(RECOMMENDED[role].cpu, RECOMMENDED[role].memory);
