import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { accounts, databaseOn } from '#cdk8s/constructs/database-access.ts';
import { ISSUER_KEY } from '#cdk8s/constructs/issuer.ts';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import { DATABASES, names, type Platform } from '#cdk8s/platform.ts';
import { DATABASE_USERS, usersOf } from '#contracts/database-users.ts';
import { MANAGED_BY, OPERATOR } from './kinds.ts';
import type { OwnerReference, StoredObject } from './kube/kube.ts';

/** A secret whose content is made once, at random, and then never touched. */
export interface MadeSecret {
  readonly name: string;
  readonly keys: readonly string[];
  /** False for what must outlive the platform. */
  readonly owned: boolean;
  readonly make: () => Readonly<Record<string, string>>;
  /** Opaque when absent. */
  readonly type?: 'kubernetes.io/basic-auth';
}

/** A secret that somebody else makes, and whose absence keeps pods from starting. */
export interface NeededSecret {
  readonly name: string;
  readonly keys: readonly string[];
  /** The field of the spec that names it. */
  readonly namedBy: string;
}

/** The secrets that the operator makes for a platform. */
export function secretsToMake({ spec: { postgres, auth } }: Pick<Platform, 'spec'>): readonly MadeSecret[] {
  return [
    ...(postgres.mode === 'embedded' && !postgres.embedded.existingSecret
      ? [
          {
            name: names.postgres,
            keys: ['username', 'password'],
            // The database was initialised with this password, and its claim outlives the platform as well: whoever
            // installs anew finds both.
            owned: false,
            make: () => ({
              username: 'topclients',
              // Fit for an address as it is.
              password: randomBytes(24).toString('base64url'),
            }),
          },
        ]
      : []),
    ...(postgres.mode === 'external'
      ? []
      : accounts().map(({ name, secret }) => ({
          name: secret,
          keys: ['username', 'password'],
          // As long as the databases, like that of their owner.
          owned: false,
          // As CloudNativePG wants it.
          type: 'kubernetes.io/basic-auth' as const,
          make: () => ({ username: name, password: randomBytes(24).toString('base64url') }),
        }))),
    ...(auth.demoIssuer
      ? [
          {
            name: names.issuer,
            keys: [ISSUER_KEY],
            owned: true,
            make: () => ({
              [ISSUER_KEY]: JSON.stringify(
                generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }),
              ),
            }),
          },
        ]
      : []),
  ];
}

/** The secrets that must be there for the pods of a platform to start. */
export function secretsNeeded({
  spec: { postgres, kafka },
}: Pick<Platform, 'spec'>): readonly NeededSecret[] {
  const { embedded, external } = postgres;
  const { sasl, tls } = kafka.external;
  return [
    ...(postgres.mode === 'embedded' && embedded.existingSecret
      ? [
          {
            name: embedded.existingSecret,
            keys: ['username', 'password'],
            namedBy: 'postgres.embedded.existingSecret',
          },
        ]
      : []),
    ...(postgres.mode === 'external' && external.existingSecret
      ? [
          {
            name: external.existingSecret,
            keys: [...new Set(Object.values(external.keys))],
            namedBy: 'postgres.external.existingSecret',
          },
        ]
      : []),
    ...(postgres.mode === 'external'
      ? DATABASE_USERS.flatMap((user) => {
          const name = external.userSecrets[user];
          const databases = DATABASES.filter((one) => usersOf(databaseOn[one]).includes(user));
          const keys = [...new Set(databases.map((one) => external.keys[one]))];
          return name === undefined ? [] : [{ name, keys, namedBy: `postgres.external.userSecrets.${user}` }];
        })
      : []),
    ...(postgres.mode === 'external' && external.caSecret
      ? [
          {
            name: external.caSecret,
            keys: [...new Set(Object.values(external.caKeys))],
            namedBy: 'postgres.external.caSecret',
          },
        ]
      : []),
    ...(kafka.mode === 'external' && sasl
      ? [
          {
            name: sasl.existingSecret,
            keys: [sasl.usernameKey, sasl.passwordKey],
            namedBy: 'kafka.external.sasl.existingSecret',
          },
        ]
      : []),
    ...(kafka.mode === 'external' && tls?.enabled && tls.existingSecret
      ? [{ name: tls.existingSecret, keys: [tls.caKey], namedBy: 'kafka.external.tls.existingSecret' }]
      : []),
  ];
}

/** The object of a secret that is made now. */
export function madeSecret(secret: MadeSecret, namespace: string, owner: OwnerReference): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: secret.name,
      namespace,
      labels: {
        'app.kubernetes.io/name': 'top-clients',
        'app.kubernetes.io/part-of': 'top-clients',
        [MANAGED_BY]: OPERATOR,
      },
      ...(secret.owned ? { ownerReferences: [owner] } : {}),
    },
    type: secret.type ?? 'Opaque',
    stringData: secret.make(),
  };
}

/** What is wrong with a secret that is there or not; null when nothing is. @param live null when it is absent */
export function lackOf(secret: NeededSecret | MadeSecret, live: StoredObject | null): string | null {
  const from = 'namedBy' in secret ? `, which spec.${secret.namedBy} names,` : '';
  if (!live)
    return `the secret ${secret.name}${from} is not there; create it with the keys ${secret.keys.join(', ')}`;
  const data = (live['data'] ?? {}) as Readonly<Record<string, string>>;
  const missing = secret.keys.filter((key) => !(key in data));
  if (missing.length === 0) return null;
  return `the secret ${secret.name}${from} has no ${missing.join(', ')}; add what is missing`;
}
