import type { Caller } from '#contracts/callers.ts';
import { names, type Platform } from '../platform.ts';
import { trustedNetworks } from './exposure.ts';
import type { EnvironmentVariable } from './role-pod.ts';

/** The keys of the secret that only the source gets: in use, next, and before. The source accepts all three. */
export const CALLER_KEYS = { now: 'key', next: 'nextKey', before: 'previousKey' } as const;

/** The secret by which the source recognises its callers. */
export const callersSecret = ({ spec }: Pick<Platform, 'spec'>): string =>
  spec.source.callers.existingSecret ?? names.callers;

/** The keys by which the source recognises callers. A secret of the user's own may lack the two that rotation needs. */
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

/** The credential by which one caller identifies itself; it gets nothing else of the secret. */
export const callerCredential = (platform: Platform, caller: Caller): EnvironmentVariable => ({
  name: 'TC_SOURCE_CREDENTIAL',
  valueFrom: { secretKeyRef: { name: callersSecret(platform), key: caller } },
});

/** An annotation for pods that use the secret: they restart after a rotation of the keys. */
export const callersAnnotation = ({ callersRotated }: Platform): Readonly<Record<string, string>> =>
  callersRotated === undefined ? {} : { 'topclients.dev/callers-rotated': callersRotated };

/** The proxies that the source trusts to report a caller's address. */
export const trustedProxies = ({ spec }: Pick<Platform, 'spec'>): readonly EnvironmentVariable[] =>
  trustedNetworks({ spec }).length > 0
    ? [{ name: 'TC_TRUSTED_PROXIES', value: trustedNetworks({ spec }).join(',') }]
    : [];
