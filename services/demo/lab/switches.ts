import type { DelayProxy } from '../delay-proxy.ts';
import type { Keeper, State } from '../keeper.ts';

/** What the lab can break, by the names of keepers. */
export const BREAKABLE = [
  'top-clients',
  'postgres-source',
  'kafka',
  'outbox-relay',
  'projector-gig',
  'projector-gig-hybrid',
] as const;
export type Breakable = (typeof BREAKABLE)[number];
export const SLOWEST_MS = 5_000;

export type SwitchCommand =
  | { readonly action: 'kill' | 'restore'; readonly target: Breakable }
  | { readonly action: 'slow'; readonly target: 'top-clients'; readonly delayMs: number };

export interface SwitchState {
  readonly state: State;
  readonly heldDown: boolean;
}

export interface Switches {
  stateOf(target: Breakable): SwitchState;
  readonly delayMs: number;
  turn(command: SwitchCommand): void;
}

export function openSwitches(keepers: ReadonlyMap<string, Keeper>, proxy: DelayProxy): Switches {
  const keeper = (name: Breakable) => keepers.get(name);
  return {
    stateOf: (target) => ({
      state: keeper(target)?.state ?? 'starting',
      heldDown: keeper(target)?.heldDown ?? false,
    }),
    get delayMs() {
      return proxy.delayMs;
    },
    turn(command) {
      switch (command.action) {
        case 'kill':
          return keeper(command.target)?.holdDown();
        case 'restore':
          if (command.target === 'top-clients') proxy.delayMs = 0;
          return keeper(command.target)?.bringBack();
        case 'slow':
          proxy.delayMs = command.delayMs;
          // The source cannot be slow and dead at once: slowing a killed source brings it back.
          return keeper('top-clients')?.bringBack();
      }
    },
  };
}

/**
 * Reads a form.
 * @returns a sentence when it makes no sense
 */
export function readSwitch(form: Readonly<Record<string, unknown>>): SwitchCommand | string {
  const { target, action, delayMs } = form;
  const known = BREAKABLE.find((name) => name === target);
  if (known === undefined) return `target must be one of ${BREAKABLE.join(', ')}`;
  if (action === 'kill' || action === 'restore') return { action, target: known };
  if (action !== 'slow') return 'action must be kill, slow or restore';
  if (known !== 'top-clients') return 'only top-clients can be slowed';
  const wanted = typeof delayMs === 'string' && /^\d{1,4}$/.test(delayMs) ? Number(delayMs) : Number.NaN;
  if (!(wanted >= 1 && wanted <= SLOWEST_MS))
    return `the delay must be a whole number of ms from 1 to ${SLOWEST_MS}`;
  return { action, target: known, delayMs: wanted };
}
