import { createHash, scrypt } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { fingerprint } from '#cdk8s/constructs/fingerprint.ts';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import { GROUP, OPERATOR } from '#cdk8s/own-names.ts';
import { names } from '#cdk8s/platform.ts';
import { MANAGED_BY } from '../runtime/apply.ts';
import { isForbidden, type Kube, type StoredObject } from '../runtime/kube.ts';
import { SECRET } from './kinds.ts';

/** On pods: changes with what they were given of secrets, so that a changed secret rolls them out. */
export const SECRETS_ANNOTATION = `${GROUP}/secrets`;

/** How long after a look at the secrets the next one follows, in ms; nothing reports their changes. */
export const SECRETS_LOOK_MS = 60_000;

/** What a pod template takes of a secret: some of its keys, or null for all of them. */
type SecretUse = readonly [secret: string, keys: readonly string[] | null];

interface Reference {
  readonly name?: string;
  readonly key?: string;
}
interface SecretSource {
  readonly name?: string;
  readonly secretName?: string;
  readonly items?: readonly { readonly key: string }[];
}
interface Container {
  readonly env?: readonly { readonly valueFrom?: { readonly secretKeyRef?: Reference } }[];
  readonly envFrom?: readonly { readonly secretRef?: Reference }[];
}
interface Template {
  readonly metadata?: { readonly annotations?: Readonly<Record<string, string>> };
  readonly spec: {
    readonly initContainers?: readonly Container[];
    readonly containers: readonly Container[];
    readonly volumes?: readonly {
      readonly name: string;
      readonly secret?: SecretSource;
      readonly projected?: { readonly sources?: readonly { readonly secret?: SecretSource }[] };
    }[];
  };
}

/** Authorities that are trusted are read again at every connection, from a file that the kubelet renews. */
const READ_AGAIN = /(^|-)ca(-|$)/;

/** The secrets that programs read once, as they start, by name, each once. */
export function secretsUsed({ spec }: Template): readonly SecretUse[] {
  const found = new Map<string, Set<string> | null>();
  const use = (name: string | undefined, keys: readonly string[] | null) => {
    if (name === undefined) return;
    const before = found.get(name);
    if (keys === null || before === null) found.set(name, null);
    else found.set(name, new Set([...(before ?? []), ...keys]));
  };
  for (const { env = [], envFrom = [] } of [...(spec.initContainers ?? []), ...spec.containers]) {
    for (const { valueFrom } of env) {
      const { name, key } = valueFrom?.secretKeyRef ?? {};
      use(name, key === undefined ? null : [key]);
    }
    for (const { secretRef } of envFrom) use(secretRef?.name, null);
  }
  for (const { name: volume, secret, projected } of spec.volumes ?? []) {
    if (READ_AGAIN.test(volume)) continue;
    for (const one of [secret, ...(projected?.sources ?? []).map((source) => source.secret)]) {
      use(one?.secretName ?? one?.name, one?.items?.map(({ key }) => key) ?? null);
    }
  }
  return [...found]
    .map(([name, keys]): SecretUse => [name, keys && [...keys].sort()])
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

/**
 * The objects with a mark of their secrets' content on the pods of Deployments: programs read
 * passwords when they start. Jobs are left out, for they would run again, and so are stores: those look after their own.
 * A secret that is not there, or that the operator may not read, does not count.
 */
export async function withSecretRevisions(
  kube: Pick<Kube, 'get'>,
  objects: readonly KubeObject[],
): Promise<readonly KubeObject[]> {
  return Promise.all(
    objects.map(async (object) => {
      if (object.kind !== 'Deployment') return object;
      const spec = object['spec'] as { readonly template: Template };
      const { namespace } = object.metadata;
      const revisions = await Promise.all(
        secretsUsed(spec.template).map(async ([name, keys]) => {
          const live = await readable(kube, { ...(namespace === undefined ? {} : { namespace }), name });
          return live ? [[name, await revisionOf(live, keys)]] : [];
        }),
      );
      if (revisions.flat().length === 0) return object;
      const { metadata } = spec.template;
      const annotations = {
        ...metadata?.annotations,
        [SECRETS_ANNOTATION]: fingerprint(revisions.flat()),
      };
      const template = { ...spec.template, metadata: { ...metadata, annotations } };
      return { ...object, spec: { ...spec, template } } as KubeObject;
    }),
  );
}

async function readable(
  kube: Pick<Kube, 'get'>,
  at: { readonly namespace?: string; readonly name: string },
): Promise<StoredObject | null> {
  try {
    return await kube.get({ ...SECRET, ...at });
  } catch (err) {
    if (isForbidden(err)) return null;
    throw err;
  }
}

const MOST_KNOWN = 500;
const known = new LRUCache<string, Promise<string>>({ max: MOST_KNOWN });

/**
 * Anybody who sees pods sees this, and may try which password leads to it. What the operator made is random and long; to
 * try somebody's own is made slow.
 */
async function revisionOf(secret: StoredObject, keys: readonly string[] | null): Promise<string> {
  const { name, uid, labels } = secret.metadata;
  const isMade = labels?.[MANAGED_BY] === OPERATOR;
  // Its keys are exchanged on request, by an annotation of its own that keeps the order.
  if (isMade && name === names.callers) return uid;
  const data = (secret['data'] ?? {}) as Readonly<Record<string, string>>;
  const content = JSON.stringify(
    Object.entries(data)
      .filter(([key]) => keys === null || keys.includes(key))
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
  const quick = createHash('sha256').update(`${name} ${content}`).digest('hex');
  if (isMade) return quick;
  const before = known.get(quick);
  if (before) return before;
  const slow = new Promise<string>((resolve, reject) => {
    scrypt(content, name, 32, (err, key) => (err ? reject(err) : resolve(key.toString('hex'))));
  });
  known.set(quick, slow);
  return slow;
}
