import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { hasDemoIssuer, ROTATE_CALLERS_ANNOTATION } from '#cdk8s/api/top-clients.ts';
import { CALLER_KEYS } from '#cdk8s/constructs/caller-access.ts';
import { accounts, databaseOn } from '#cdk8s/constructs/database-access.ts';
import { databaseServers, ownerSecret } from '#cdk8s/constructs/database-servers.ts';
import { ISSUER_KEY } from '#cdk8s/constructs/issuer.ts';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import { OPERATOR } from '#cdk8s/own-names.ts';
import { DATABASES, names, type Platform } from '#cdk8s/platform.ts';
import { CALLERS } from '#contracts/callers.ts';
import { DATABASE_USERS, usersOf } from '#contracts/database-users.ts';
import { credentialOf } from '../../../auth/caller-credential.ts';
import { MANAGED_BY } from '../../runtime/apply.ts';
import type { OwnerReference, StoredObject } from '../../runtime/kube.ts';

/** A secret whose content is made once, at random, and changes only by a rotation. */
export interface MadeSecret {
  readonly name: string;
  readonly keys: readonly string[];
  /** False for a secret that outlives the platform. */
  readonly owned: boolean;
  readonly make: () => Readonly<Record<string, string>>;
  /** Present where the content can be rotated: the new is made from the old, so that holders of the old go on. */
  readonly rotation?: {
    /** Each new value of this annotation on the TopClients asks for one rotation; the secret then carries it too. */
    readonly annotation: string;
    readonly wanted: string | undefined;
    readonly from: (before: Readonly<Record<string, string>>) => Readonly<Record<string, string>>;
  };
  /** Opaque when absent. */
  readonly type?: 'kubernetes.io/basic-auth';
}

/** A secret that somebody else makes; pods cannot start without it. */
export interface NeededSecret {
  readonly name: string;
  readonly keys: readonly string[];
  /** The field of the spec that names it. */
  readonly namedBy: string;
}

/** The data of a secret, as the API has it. */
export const encoded = (content: Readonly<Record<string, string>>): Readonly<Record<string, string>> =>
  Object.fromEntries(
    Object.entries(content).map(([key, text]) => [key, Buffer.from(text).toString('base64')]),
  );

const newKey = () => randomBytes(32).toString('base64url');

/** The content by which the source recognises its callers, with a credential for each of them. */
function callersOf(now: string, others: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return {
    [CALLER_KEYS.now]: now,
    ...others,
    ...Object.fromEntries(CALLERS.map((caller) => [caller, credentialOf(now, caller)])),
  };
}

/**
 * The next key always exists already. A rotation puts it to use: a source that has not restarted accepts it as its next
 * key, and a restarted source still accepts the key before. So servers may restart in any order.
 */
const rotatedCallers = (before: Readonly<Record<string, string>>) =>
  callersOf(before[CALLER_KEYS.next] ?? newKey(), {
    [CALLER_KEYS.next]: newKey(),
    [CALLER_KEYS.before]: before[CALLER_KEYS.now] ?? newKey(),
  });

/** The secrets that the operator makes for users of databases. */
export const passwordSecrets = (platform: Pick<Platform, 'spec' | 'databaseServers'>): readonly string[] => {
  const { mode, embedded } = platform.spec.postgres;
  return [
    ...(mode === 'embedded' && !embedded.existingSecret
      ? databaseServers(platform).map((server) => ownerSecret(platform, server))
      : []),
    ...(mode === 'external' ? [] : accounts().map(({ secret }) => secret)),
  ];
};

/** The secrets that the operator makes for a platform. @param asked annotations of the TopClients */
export function secretsToMake(
  platform: Pick<Platform, 'spec' | 'databaseServers'>,
  asked: Readonly<Record<string, string>> = {},
): readonly MadeSecret[] {
  const { spec } = platform;
  const { postgres, source, deletionPolicy } = spec;
  // Passwords of databases stay with these, so that a new installation finds both.
  const ofData = deletionPolicy === 'Delete';
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
      ? databaseServers(platform).map((server) => ({
          name: ownerSecret(platform, server),
          keys: ['username', 'password'],
          owned: ofData,
          make: () => ({
            username: 'topclients',
            // It needs no escaping in a URL.
            password: randomBytes(24).toString('base64url'),
          }),
        }))
      : []),
    ...(postgres.mode === 'external'
      ? []
      : accounts().map(({ name, secret }) => ({
          name: secret,
          keys: ['username', 'password'],
          owned: ofData,
          // CloudNativePG requires this type.
          type: 'kubernetes.io/basic-auth' as const,
          make: () => ({ username: name, password: randomBytes(24).toString('base64url') }),
        }))),
    ...(hasDemoIssuer(spec)
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
/** The rotation of the callers' keys that a TopClients asks for; an empty text asks for none. */
export const rotationAsked = (asked: Readonly<Record<string, string>>): string | undefined =>
  asked[ROTATE_CALLERS_ANNOTATION]?.trim().slice(0, LONGEST_ROTATION) || undefined;

/** Whether a rotation of the callers' keys has yet to reach the pods; no watch reports a change of the secret. */
export const isRotating = ({ spec, callersRotated }: Platform, { metadata }: StoredObject): boolean => {
  const asked = rotationAsked(metadata.annotations ?? {});
  return !spec.source.callers.existingSecret && asked !== undefined && asked !== callersRotated;
};
/** How long to wait before the next look, in ms. */
export const ROTATING_MS = 1_000;

/** Whether an existing secret of ours is to go with the platform and does not, or the other way round. */
export function hasWrongOwner({ owned }: MadeSecret, live: StoredObject, platform: StoredObject): boolean {
  const { labels, ownerReferences = [], deletionTimestamp } = live.metadata;
  if (labels?.[MANAGED_BY] !== OPERATOR || deletionTimestamp) return false;
  const controller = ownerReferences.find((one) => one.controller);
  return controller === undefined ? owned : controller.uid === platform.metadata.uid && !owned;
}

/** Whether an existing secret must be rotated. */
export const isToRotate = ({ rotation }: MadeSecret, live: StoredObject): boolean =>
  rotation?.wanted !== undefined && live.metadata.annotations?.[rotation.annotation] !== rotation.wanted;

/** The secrets that must be there for the pods of a platform to start. */
export function secretsNeeded({
  spec: { postgres, kafka, source },
}: Pick<Platform, 'spec'>): readonly NeededSecret[] {
  const { embedded, external } = postgres;
  const { sasl, tls } = kafka.external;
  const replicaKeys = Object.values(external.replicaKeys).filter((key) => key !== undefined);
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
            keys: [
              ...new Set([
                ...Object.values(external.keys),
                ...(external.userSecrets.page === undefined ? replicaKeys : []),
              ]),
            ],
            namedBy: 'postgres.external.existingSecret',
          },
        ]
      : []),
    ...(postgres.mode === 'external'
      ? DATABASE_USERS.flatMap((user) => {
          const name = external.userSecrets[user];
          const databases = DATABASES.filter((one) => usersOf(databaseOn[one]).includes(user));
          const replicas = user === 'page' ? replicaKeys : [];
          const keys = [...new Set([...databases.map((one) => external.keys[one]), ...replicas])];
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

/** The object of a secret that is rotated now. It names the version it is made from, so nothing can come in between. */
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

/** What is wrong with a secret; null when nothing is. @param live null when it is absent */
export function lackOf(secret: NeededSecret | MadeSecret, live: StoredObject | null): string | null {
  const from = 'namedBy' in secret ? `, which spec.${secret.namedBy} names,` : '';
  if (!live)
    return `the secret ${secret.name}${from} is not there; create it with the keys ${secret.keys.join(', ')}`;
  const data = (live['data'] ?? {}) as Readonly<Record<string, string>>;
  const missing = secret.keys.filter((key) => !(key in data));
  if (missing.length === 0) return null;
  return `the secret ${secret.name}${from} has no ${missing.join(', ')}; add what is missing`;
}
