import type { ExampleState } from '../examples.ts';
import type { Measured, ProbedOutcome, Truth } from './measurements.ts';
import type { Breakable, Switches } from './switches.ts';

export const NAMES: Readonly<Record<Breakable, string>> = {
  'top-clients': 'Source of truth',
  'postgres-source': 'Database of the source',
  kafka: 'Kafka',
  'outbox-relay': 'Relay',
  'projector-gig': 'Projector of the gig page',
  'projector-gig-hybrid': 'Projector for hybrid',
};

/** The consequences while the part is down. */
export const CONSEQUENCES: Readonly<Record<Exclude<Breakable, 'top-clients'>, string>> = {
  'postgres-source':
    'Without it, edits are refused and the self-view says so; pages have a server of their own, and go on as they are.',
  kafka: 'Without it, edits are still accepted and wait in the outbox; views stay as they are.',
  'outbox-relay': 'Without it, edits are still accepted and wait in the outbox; views stay as they are.',
  'projector-gig': 'Without it, edits wait in Kafka; the asynchronous page shows the version before.',
  'projector-gig-hybrid': 'Without it, the hybrid page does not learn of new clients.',
};

export const OUTCOMES: Readonly<Record<ProbedOutcome, string>> = {
  full: 'Full',
  missing: 'Missing',
  stale: 'Stale',
  off: 'Off',
  unreachable: 'No page',
};

export const milliseconds = (ms: number): string =>
  ms >= 1_000 ? `${(ms / 1_000).toFixed(1)} s` : ms >= 100 ? `${Math.round(ms)} ms` : `${ms.toFixed(1)} ms`;

/** How the shown version compares with the source's. */
export function freshness({ outcome, version }: Measured, truth: Truth | null): string {
  if (outcome === null) return '–';
  if (version === null) return 'none';
  if (truth === null) return String(version);
  const behind = truth.version - version;
  return behind <= 0 ? `${version}, current` : `${version}, ${behind} behind`;
}

export const whyNotRunning = (at: Exclude<ExampleState, { state: 'running' }>): string =>
  at.state === 'preparing'
    ? 'It is being prepared: what it needs is installed once.'
    : `It does not run here: ${at.why}`;

/** The state of a part for people: words, and a class for its colour. */
export function stateOf(
  switches: Switches,
  target: Breakable,
): { text: string; tone: 'good' | 'odd' | 'bad' } {
  const { state, heldDown } = switches.stateOf(target);
  if (heldDown) return { text: 'killed', tone: 'bad' };
  if (state !== 'up') return { text: state === 'down' ? 'down, coming back' : 'starting', tone: 'odd' };
  if (target === 'top-clients' && switches.delayMs > 0)
    return { text: `slow by ${switches.delayMs} ms`, tone: 'odd' };
  return { text: 'running', tone: 'good' };
}
