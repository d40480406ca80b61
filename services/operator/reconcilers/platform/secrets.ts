import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { ROTATE_CALLERS_ANNOTATION } from '#cdk8s/api/top-clients.ts';
import { CALLER_KEYS } from '#cdk8s/constructs/caller-access.ts';
import { accounts, databaseOn } from '#cdk8s/constructs/database-access.ts';
import { ISSUER_KEY } from '#cdk8s/constructs/issuer.ts';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import { DATABASES, names, type Platform } from '#cdk8s/platform.ts';
import { CALLERS } from '#contracts/callers.ts';
import { DATABASE_USERS, usersOf } from '#contracts/database-users.ts';
import { credentialOf } from '../../../auth/caller-credential.ts';
import { MANAGED_BY } from '../../runtime/apply.ts';
import type { OwnerReference, StoredObject } from '../../runtime/kube.ts';
import { OPERATOR } from '../kinds.ts';

/** A secret whose content is made once, at random, and then never touched. */
export interface MadeSecret {
  readonly name: string;
  readonly keys: readonly string[];
  /** False for what must outlive the platform. */
  readonly owned: boolean;
  readonly make: () => Readonly<Record<string, string>>;
  /** Where what is made can be exchanged: everything anew from what there is, so that what holds the old goes on. */
  readonly rotation?: {
    /** Every new value of the annotation on the TopClients asks for it once; the secret remembers it under that name. */
    readonly annotation: string;
    readonly wanted: string | undefined;
    readonly from: (before: Readonly<Record<string, string>>) => Readonly<Record<string, string>>;
  };
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

const newKey = () => randomBytes(32).toString('base64url');

/** The content by which the source knows its callers, with a credential for each of them. */
function callersOf(now: string, others: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return {
    [CALLER_KEYS.now]: now,
    ...others,
    ...Object.fromEntries(CALLERS.map((caller) => [caller, credentialOf(now, caller)])),
  };
}

/**
 * There is always a key ahead. Exchanged, it is used, and the source of before accepts it already; the one of after
 * still accepts the one before. So servers may start anew in any order.
 */
const rotatedCallers = (before: Readonly<Record<string, string>>) =>
  callersOf(before[CALLER_KEYS.next] ?? newKey(), {
    [CALLER_KEYS.next]: newKey(),
    [CALLER_KEYS.before]: before[CALLER_KEYS.now] ?? newKey(),
  });

/** The secrets that the operator makes for a platform. @param asked annotations of the TopClients */
export function secretsToMake(
  { spec: { postgres, auth, source } }: Pick<Platform, 'spec'>,
  asked: Readonly<Record<string, string>> = {},
): readonly MadeSecret[] {
  return [
    ...(source.callers.existingSecret
      ? []
      : [
          {
            name: names.callers,
            keys: [CALLER_KEYS.now, ...CALLERS],
            owned: true,
            make: () => callersOf(newKey(), { [CALLER_KEYS.next]: newKey() }),
            rotation: {
              annotation: ROTATE_CALLERS_ANNOTATION,
              wanted: rotationAsked(asked),
              from: rotatedCallers,
            },
          },
        ]),
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

const LONGEST_ROTATION = 256;
/** What a TopClients says of its callers' keys; an empty text is nothing. */
export const rotationAsked = (asked: Readonly<Record<string, string>>): string | undefined =>
  asked[ROTATE_CALLERS_ANNOTATION]?.trim().slice(0, LONGEST_ROTATION) || undefined;

/** Whether pods are still to get what an exchange of callers' keys makes; nobody tells when the secret has changed. */
export const isRotating = ({ spec, callersRotated }: Platform, { metadata }: StoredObject): boolean => {
  const asked = rotationAsked(metadata.annotations ?? {});
  return !spec.source.callers.existingSecret && asked !== undefined && asked !== callersRotated;
};
/** Until it is looked at again, in ms. */
export const ROTATING_MS = 1_000;

/** Whether a secret that is there is to be exchanged. */
export const isToRotate = ({ rotation }: MadeSecret, live: StoredObject): boolean =>
  rotation?.wanted !== undefined && live.metadata.annotations?.[rotation.annotation] !== rotation.wanted;

/** The secrets that must be there for the pods of a platform to start. */
export function secretsNeeded({
  spec: { postgres, kafka, source },
}: Pick<Platform, 'spec'>): readonly NeededSecret[] {
  const { embedded, external } = postgres;
  const { sasl, tls } = kafka.external;
  return [
    ...(source.callers.existingSecret
      ? [
          {
            name: source.callers.existingSecret,
            keys: [CALLER_KEYS.now, ...CALLERS],
            namedBy: 'source.callers.existingSecret',
          },
        ]
      : []),
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
      ...rotationOf(secret),
      ...(secret.owned ? { ownerReferences: [owner] } : {}),
    },
    type: secret.type ?? 'Opaque',
    stringData: secret.make(),
  };
}

/** The object of a secret that is exchanged now. It names the version it was made from: nothing may have come between. */
export function rotatedSecret(secret: MadeSecret, live: StoredObject): KubeObject {
  const texts = (encoding: BufferEncoding, to: BufferEncoding, data: Readonly<Record<string, string>>) =>
    Object.fromEntries(
      Object.entries(data).map(([key, text]) => [key, Buffer.from(text, encoding).toString(to)]),
    );
  const { name, namespace, labels, ownerReferences, resourceVersion } = live.metadata;
  const before = texts('base64', 'utf8', (live['data'] ?? {}) as Readonly<Record<string, string>>);
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(labels === undefined ? {} : { labels }),
      ...rotationOf(secret),
      ...(ownerReferences === undefined ? {} : { ownerReferences }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
    type: 'Opaque',
    data: texts('utf8', 'base64', secret.rotation!.from(before)),
  };
}

const rotationOf = ({ rotation }: MadeSecret) =>
  rotation?.wanted === undefined ? {} : { annotations: { [rotation.annotation]: rotation.wanted } };

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
