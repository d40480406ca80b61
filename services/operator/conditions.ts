import type { Condition } from '#cdk8s/api/page-view.ts';
import { timestamp } from './view-switch.ts';

/** What is said of one thing, before it is known how long that has been so. */
export interface Said {
  readonly status: Condition['status'];
  readonly reason: string;
  readonly message: string;
}

/** Something that is wrong, and what to change. */
export interface Trouble {
  readonly reason: string;
  readonly message: string;
}

/** Keeps objects' statuses small whatever an error says. */
const LONGEST = 1_500;

export const yes = (reason: string, message: string): Said => ({ status: 'True', reason, message });
export const no = (reason: string, message: string): Said => ({ status: 'False', reason, message });

/** The condition Degraded: the first trouble names the reason, all of them are told. */
export const degraded = (troubles: readonly Trouble[]): Said =>
  troubles.length > 0
    ? yes(troubles[0]!.reason, troubles.map(({ message }) => message).join('; '))
    : no('AsWanted', 'nothing is wrong');

/** The conditions of a status; the instant of a transition only moves when the status of the condition does. */
export function conditionsOf(
  before: readonly Condition[],
  said: Readonly<Record<string, Said>>,
  generation: number,
  now: number,
): Condition[] {
  return Object.entries(said).map(([type, { status, reason, message }]) => {
    const old = before.find((one) => one.type === type);
    return {
      type,
      status,
      reason,
      message: message.length > LONGEST ? `${message.slice(0, LONGEST)}…` : message,
      observedGeneration: generation,
      lastTransitionTime: old?.status === status ? old.lastTransitionTime : timestamp(now),
    };
  });
}

/** What changed enough between two statuses to tell people, as an Event. */
export function transitions(
  before: readonly Condition[],
  after: readonly Condition[],
): { readonly type: 'Normal' | 'Warning'; readonly reason: string; readonly message: string }[] {
  return after
    .filter(({ type, status, reason }) => {
      const old = before.find((one) => one.type === type);
      if (old?.status === status && old.reason === reason) return false;
      // Told in words of their own by whoever decided it; and at first everything is new.
      return type !== 'ViewCurrent' && (old !== undefined || WARNS(type, status));
    })
    .map(({ type, status, reason, message }) => ({
      type: WARNS(type, status) ? 'Warning' : 'Normal',
      reason,
      message: `${type} is ${status}: ${message}`,
    }));
}
const WARNS = (type: string, status: string) => type === 'Degraded' && status === 'True';
