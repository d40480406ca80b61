import type { Caller } from '#contracts/callers.ts';
import { names, type Platform } from '../platform.ts';
import type { EnvironmentVariable } from './role-pod.ts';

/** The keys of the secret that only the source gets: now accepted and in use, next, and before. */
export const CALLER_KEYS = { now: 'key', next: 'nextKey', before: 'previousKey' } as const;

/** The secret by which the source knows its callers. */
export const callersSecret = ({ spec }: Pick<Platform, 'spec'>): string =>
  spec.source.callers.existingSecret ?? names.callers;

/** What the source knows callers by. A secret of yours may do without the two that matter while keys are exchanged. */
export function callerKeys(platform: Platform): readonly EnvironmentVariable[] {
  const from = callersSecret(platform);
  const key = (name: string, of: string, optional: boolean): EnvironmentVariable => ({
    name,
    valueFrom: { secretKeyRef: { name: from, key: of, ...(optional ? { optional } : {}) } },
  });
  return [
    key('TC_CALLER_KEY', CALLER_KEYS.now, false),
    key('TC_CALLER_NEXT_KEY', CALLER_KEYS.next, true),
    key('TC_CALLER_PREVIOUS_KEY', CALLER_KEYS.before, true),
  ];
}

/** By what one caller says who it is: its own credential and nothing else of the secret. */
export const callerCredential = (platform: Platform, caller: Caller): EnvironmentVariable => ({
  name: 'TC_SOURCE_CREDENTIAL',
  valueFrom: { secretKeyRef: { name: callersSecret(platform), key: caller } },
});

/** On pods that hold something of the secret: they start anew when keys were exchanged. */
export const callersAnnotation = ({ callersRotated }: Platform): Readonly<Record<string, string>> =>
  callersRotated === undefined ? {} : { 'topclients.dev/callers-rotated': callersRotated };

/** Whose word is taken for the address of who calls. */
export const trustedProxies = ({ spec }: Pick<Platform, 'spec'>): readonly EnvironmentVariable[] =>
  spec.source.trustedProxies.length > 0
    ? [{ name: 'TC_TRUSTED_PROXIES', value: spec.source.trustedProxies.join(',') }]
    : [];
