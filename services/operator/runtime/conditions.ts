import type { StoredObject } from './kube.ts';

/** A condition in the status of a resource of ours, as Kubernetes writes conditions. */
export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly observedGeneration?: number | undefined;
  /** In ISO 8601, whole seconds. */
  readonly lastTransitionTime: string;
  readonly reason: string;
  readonly message: string;
}

/** A condition in any object's status; its writer may have left out fields. */
export type ForeignCondition = Pick<Condition, 'type' | 'status'> & Partial<Condition>;

/** The condition of that type in an object's status. */
export const conditionOf = (object: StoredObject, type: string): ForeignCondition | undefined =>
  (object.status?.conditions as ForeignCondition[] | undefined)?.find((one) => one.type === type);

/** Conditions as the last status of a resource of ours has them. */
export const conditionsIn = (object: StoredObject): readonly Condition[] =>
  (object.status?.conditions as Condition[] | undefined) ?? [];

/** An instant as Kubernetes writes it: in whole seconds. */
export const timestamp = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

/** The value of a condition, without the time since when it holds. */
export interface ConditionValue {
  readonly status: Condition['status'];
  readonly reason: string;
  readonly message: string;
}

/** Something that is wrong, and how to change it. */
export interface Trouble {
  readonly reason: string;
  readonly message: string;
  /** Whoever has this trouble cannot do its work, whatever its workloads say. */
  readonly notReady?: boolean;
}

/** Bounds the size of a status, whatever an error says. */
const LONGEST = 1_500;

export const yes = (reason: string, message: string): ConditionValue => ({ status: 'True', reason, message });
export const no = (reason: string, message: string): ConditionValue => ({ status: 'False', reason, message });

/** The condition Degraded: the reason is that of the first trouble, the message lists all. */
export const degraded = (troubles: readonly Trouble[]): ConditionValue =>
  troubles.length > 0
    ? yes(troubles[0]!.reason, troubles.map(({ message }) => message).join('; '))
    : no('AsWanted', 'nothing is wrong');

/** The conditions of a status; the transition time moves only when the condition's status does. */
export function conditionsOf(
  before: readonly Condition[],
  values: Readonly<Record<string, ConditionValue>>,
  generation: number,
  now: number,
): Condition[] {
  return Object.entries(values).map(([type, { status, reason, message }]) => {
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

/**
 * The condition changes between two statuses that deserve an Event.
 * @param silent types whose changes have Events of their own
 */
export function transitions(
  before: readonly Condition[],
  after: readonly Condition[],
  silent: readonly string[],
): { readonly type: 'Normal' | 'Warning'; readonly reason: string; readonly message: string }[] {
  return after
    .filter(({ type, status, reason }) => {
      const old = before.find((one) => one.type === type);
      if (old?.status === status && old.reason === reason) return false;
      // At first every condition is new.
      return !silent.includes(type) && (old !== undefined || WARNS(type, status));
    })
    .map(({ type, status, reason, message }) => ({
      type: WARNS(type, status) ? 'Warning' : 'Normal',
      reason,
      message: `${type} is ${status}: ${message}`,
    }));
}
const WARNS = (type: string, status: string) => type === 'Degraded' && status === 'True';
