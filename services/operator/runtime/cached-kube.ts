import { LRUCache } from 'lru-cache';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import {
  type Informer,
  isForbidden,
  type Kind,
  type Kube,
  KubeError,
  type Ref,
  type StoredObject,
} from './kube.ts';
import { kindKey, objectKey, refOf } from './objects.ts';

/** The informers that run. */
export interface Caches {
  /** Null where no informer follows the kind now: it is then asked of the API server. */
  of(kind: Kind): { readonly informer: Informer; readonly labelSelector?: string | undefined } | null;
  /** Undefined while nobody has asked yet. */
  serves(kind: Kind): boolean | undefined;
}

export interface CachedKubeSettings {
  /** Kinds that no informer follows, and that are nevertheless not read at every reconcile. */
  readonly looked: readonly { readonly kind: Kind; readonly everyMs: number }[];
  /** A clock that never goes back, in ms. */
  readonly now?: () => number;
}

/** What the cache must show of an object before it is believed. */
type Expected =
  /** This version of it, or a later one. */
  | { readonly of: 'version'; readonly version: string }
  /** That it is gone or leaving. */
  | { readonly of: 'absence'; readonly uid: string | undefined }
  /** A write failed in a way that leaves open what happened: only the API server knows. */
  | { readonly of: 'unknown' };

/** An expectation that is older can be met no more: the object was deleted, or replaced, by somebody else. */
const LONGEST_MS = 60_000;
/** Answers that are kept: pods come and go, and each that does not get on is looked at. */
const MOST_LOOKS = 1_000;

/**
 * Answers reads from the informers' caches. A cache may be behind, in two ways that matter: what we wrote ourselves must
 * be seen, for the next decision builds on it, and what the leader before us wrote as well. So after each write, and
 * once at the beginning for each kind, the version that the cache has to reach is remembered; until then the object is
 * read from the API server. A change by anybody else that the cache lacks will wake another reconcile.
 *
 * One for each term of a leader: it reads every kind once from the API server before it believes a cache.
 */
export function cachedKube(kube: Kube, caches: Caches, settings: CachedKubeSettings): Kube {
  const { now = () => performance.now() } = settings;
  const expectations = new Map<
    string,
    { readonly ref: Ref; readonly expected: Expected; readonly at: number }
  >();
  /** Kinds that were listed in this term, by namespace; and objects that were read alone. */
  const listed = new Map<string, Promise<StoredObject[]>>();
  const read = new Set<string>();
  const looks = new LRUCache<string, { readonly at: number; readonly found: Promise<unknown> }>({
    max: MOST_LOOKS,
  });

  const lookedEvery = (kind: Kind) =>
    settings.looked.find((one) => kindKey(one.kind) === kindKey(kind))?.everyMs;

  const keyOf = (ref: Ref): string => `${ref.namespace ?? ''} ${objectKey(ref)}`;
  const listKey = (kind: Kind, namespace: string | null | undefined): string =>
    `${kindKey(kind)} ${namespace ?? ''}`;
  const expect = (ref: Ref, expected: Expected) => {
    looks.delete(keyOf(ref));
    if (lookedEvery(ref) !== undefined) return;
    expectations.set(keyOf(ref), { ref, expected, at: now() });
  };
  const expectVersion = (ref: Ref, { metadata: { resourceVersion } }: StoredObject) =>
    expect(ref, { of: 'version', version: resourceVersion });
  const cached = ({ informer }: { readonly informer: Informer }, { namespace, name }: Ref) =>
    informer.get(namespace ?? '', name);

  /** The object as the API server has it, where the cache is behind; undefined where the cache is right. */
  const readBehind = async (
    ref: Ref,
    live: StoredObject | undefined,
  ): Promise<StoredObject | null | undefined> => {
    const known = expectations.get(keyOf(ref));
    if (!known) return undefined;
    if (now() - known.at > LONGEST_MS || isMet(known.expected, live)) {
      expectations.delete(keyOf(ref));
      return undefined;
    }
    const actual = await kube.get(ref);
    // A write of ours that came meanwhile is the newer.
    if (expectations.get(keyOf(ref)) !== known) return actual;
    if (actual) expectVersion(ref, actual);
    else expect(ref, { of: 'absence', uid: live?.metadata.uid });
    return actual;
  };

  /** One answer for a while, also where it is a refusal; nothing found is asked for again. */
  const look = <T>(key: string, everyMs: number, ask: () => Promise<T>): Promise<T> => {
    const known = looks.get(key);
    if (known && now() - known.at < everyMs) return known.found as Promise<T>;
    const asked = { at: now(), found: ask() };
    looks.set(key, asked);
    const forget = () => {
      if (looks.get(key) === asked) looks.delete(key);
    };
    asked.found.then(
      (found) => found === null && forget(),
      (err: unknown) => !isForbidden(err) && forget(),
    );
    return asked.found;
  };

  /** Does a write, and remembers what the cache has to show after it. */
  const writing = async (ref: Ref, write: () => Promise<StoredObject>): Promise<StoredObject> => {
    try {
      const written = await write();
      expectVersion(ref, written);
      return written;
    } catch (err) {
      // No answer, a failure of the server, or somebody was faster: the cache may not know yet.
      if (err instanceof KubeError && (err.code === 0 || err.code === 409 || err.code >= 500))
        expect(ref, { of: 'unknown' });
      throw err;
    }
  };

  return {
    async get(ref) {
      const everyMs = lookedEvery(ref);
      if (everyMs !== undefined) return look(keyOf(ref), everyMs, () => kube.get(ref));
      const cache = caches.of(ref);
      if (!cache) return kube.get(ref);
      if (!listed.has(listKey(ref, ref.namespace)) && !read.has(keyOf(ref))) {
        const first = await kube.get(ref);
        if (first) expectVersion(ref, first);
        read.add(keyOf(ref));
        return first;
      }
      const live = cached(cache, ref);
      const actual = await readBehind(ref, live);
      if (actual !== undefined) return actual;
      // An informer that selects by label does not know of objects without it.
      return live ?? (cache.labelSelector === undefined ? null : kube.get(ref));
    },

    async list(kind, namespace, labelSelector, options = {}) {
      const everyMs = lookedEvery(kind);
      if (everyMs !== undefined) {
        const key = [kindKey(kind), namespace, labelSelector, options.fieldSelector].join(' ');
        return look(key, everyMs, () => kube.list(kind, namespace, labelSelector, options));
      }
      const cache = caches.of(kind);
      if (options.fresh || options.fieldSelector || cache?.labelSelector !== labelSelector || !cache)
        return kube.list(kind, namespace, labelSelector, options);
      const key = listKey(kind, namespace);
      if (!listed.has(key)) {
        const first = kube.list(kind, namespace, labelSelector);
        listed.set(key, first);
        try {
          const items = await first;
          for (const item of items) {
            if (!expectations.has(keyOf(refOf(item)))) expectVersion(refOf(item), item);
          }
          return items;
        } catch (err) {
          listed.delete(key);
          throw err;
        }
      }
      await listed.get(key);
      const found = new Map(
        cache.informer
          .list()
          .filter(({ metadata }) => namespace === null || metadata.namespace === namespace)
          .map((object) => [keyOf(refOf(object)), object]),
      );
      const behind = [...expectations.values()].filter(({ ref }) => kindKey(ref) === kindKey(kind));
      await Promise.all(
        behind.map(async ({ ref }) => {
          const actual = await readBehind(ref, found.get(keyOf(ref)));
          if (actual) found.set(keyOf(ref), actual);
          else if (actual === null) found.delete(keyOf(ref));
        }),
      );
      return [...found.values()];
    },

    apply: (object, options) =>
      options?.dryRun
        ? kube.apply(object, options)
        : writing(refOf(object), () => kube.apply(object, options)),
    applyStatus: (object: KubeObject) => writing(refOf(object), () => kube.applyStatus(object)),
    create: (object) => writing(refOf(object), () => kube.create(object)),
    patch: (ref, patch, subresource) => writing(ref, () => kube.patch(ref, patch, subresource)),
    replace: (object) => writing(refOf(object), () => kube.replace(object)),
    async delete(ref, options) {
      const cache = caches.of(ref);
      const uid = options?.uid ?? (cache ? cached(cache, ref)?.metadata.uid : undefined);
      try {
        await kube.delete(ref, options);
      } finally {
        expect(ref, { of: 'absence', uid });
      }
    },

    async serves(kind) {
      return caches.serves(kind) ?? kube.serves(kind);
    },
  };
}

function isMet(expected: Expected, live: StoredObject | undefined): boolean {
  switch (expected.of) {
    case 'version':
      return live !== undefined && isAtLeast(live.metadata.resourceVersion, expected.version);
    case 'absence':
      return !live || live.metadata.uid !== expected.uid || live.metadata.deletionTimestamp !== undefined;
    case 'unknown':
      return false;
  }
}

/** Versions of one kind are numbers that grow; what is none can only be equal. */
function isAtLeast(version: string, least: string): boolean {
  if (version === least) return true;
  const isNumber = (text: string) => /^\d+$/.test(text);
  return isNumber(version) && isNumber(least) && BigInt(version) >= BigInt(least);
}
