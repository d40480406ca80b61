import {
  REPUBLISH_ANNOTATION,
  RESTORED_ANNOTATION,
  ROTATE_CALLERS_ANNOTATION,
} from '#cdk8s/api/top-clients.ts';
import type { Log } from '#platform/log.ts';
import type { Api } from '../runtime/api.ts';
import type { Caches } from '../runtime/cached-kube.ts';
import { type RunningInformer, startInformer } from '../runtime/informer.ts';
import type { Kind, Kube, StoredObject } from '../runtime/kube.ts';
import { kindKey } from '../runtime/objects.ts';
import { PLATFORM_KEY, pageKey } from './keys.ts';
import { BUILT_IN, isStore, OF_OTHERS, OUR_PODS, OURS, PAGE_VIEW, POD, TOP_CLIENTS } from './kinds.ts';

export interface WatchingSettings {
  readonly api: Api;
  readonly kube: Pick<Kube, 'serves'>;
  /** Null for all namespaces, each kind by one watch. */
  readonly scope: string | null;
  /** Told which keys of which namespace a change concerns. */
  readonly onChange: (namespace: string, keys: readonly string[]) => void;
  readonly onRelist: (kind: string) => void;
  readonly log: Log;
}

/** Watches everything whose change may need a reconcile, and wakes it. A reconcile reads from the same caches. */
export class Watching implements Caches {
  readonly #settings: WatchingSettings;
  readonly #informers = new Map<string, RunningInformer>();
  readonly #selectors = new Map<string, string | undefined>();
  /** Kinds of other operators, and whether the cluster had them when it was asked last. */
  readonly #served = new Map<string, boolean>();
  /** The version and keys of each object at its last change: the next one, above all a deletion, concerns them too. */
  readonly #seen = new Map<string, { readonly version: string; readonly keys: readonly string[] }>();

  constructor(settings: WatchingSettings) {
    this.#settings = settings;
    for (const kind of [TOP_CLIENTS, PAGE_VIEW]) this.#start(kind, (object) => this.#keysOfOwn(object));
    for (const kind of BUILT_IN) this.#start(kind, (object) => this.#keysOfOwner(object), OURS);
    this.#start(POD, (object) => this.#keysOfPod(object), OUR_PODS);
  }

  /** Starts to watch other operators' kinds that the cluster serves now, and stops for those it no longer serves. */
  async followOthers(): Promise<void> {
    for (const kind of OF_OTHERS) {
      const running = this.#informers.get(kindKey(kind));
      const served = await this.#settings.kube.serves(kind);
      this.#served.set(kindKey(kind), served);
      if (served && !running) {
        this.#start(kind, (object) => this.#keysOfOwner(object), OURS);
        this.#tellAll();
      }
      if (!served && running) {
        this.#informers.delete(kindKey(kind));
        await running.stop();
        this.#tellAll();
      }
    }
  }

  /** Resolves once every kind was listed. */
  async listed(): Promise<void> {
    await Promise.all([...this.#informers.values()].map(({ listed }) => listed));
  }

  of(kind: Kind): ReturnType<Caches['of']> {
    const informer = this.#informers.get(kindKey(kind));
    if (!informer || informer.staleBecause() !== null) return null;
    return { informer, labelSelector: this.#selectors.get(kindKey(kind)) };
  }

  serves(kind: Kind): boolean | undefined {
    return this.#served.get(kindKey(kind));
  }

  everything(namespace: string): string[] {
    return [PLATFORM_KEY, ...this.#pagesOf(namespace).map(pageKey)];
  }

  /** The namespaces that have a platform or a page. */
  namespaces(): ReadonlySet<string> {
    return new Set(
      [TOP_CLIENTS, PAGE_VIEW].flatMap((kind) =>
        (this.#informers.get(kindKey(kind))?.list() ?? []).map(({ metadata }) => metadata.namespace!),
      ),
    );
  }

  #pagesOf(namespace: string): string[] {
    return (this.#informers.get(kindKey(PAGE_VIEW))?.list() ?? [])
      .filter(({ metadata }) => metadata.namespace === namespace)
      .map(({ metadata }) => metadata.name);
  }

  #tellAll(): void {
    const { scope, onChange } = this.#settings;
    for (const namespace of scope === null ? this.namespaces() : [scope])
      onChange(namespace, this.everything(namespace));
  }

  /** A sentence about the first stale kind; null when all are followed. */
  staleBecause(): string | null {
    for (const informer of this.#informers.values()) {
      const because = informer.staleBecause();
      if (because !== null) return because;
    }
    return null;
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#informers.values()].map((informer) => informer.stop()));
  }

  #start(kind: Kind, keysOf: (object: StoredObject) => readonly string[], labelSelector?: string): void {
    const { api, scope, log, onChange, onRelist } = this.#settings;
    const informer = startInformer(api, {
      kind,
      namespace: scope,
      ...(labelSelector === undefined ? {} : { labelSelector }),
      log,
      onRelist: () => onRelist(kind.kind),
      onChange: (name, object) => {
        const id = `${kindKey(kind)} ${name}`;
        // All kinds that are watched have one.
        const [namespace = ''] = name.split('/');
        const before = this.#seen.get(id);
        if (!object) {
          this.#seen.delete(id);
          if (before) onChange(namespace, before.keys);
          return;
        }
        const now = { version: versionOf(kind, object), keys: keysOf(object) };
        this.#seen.set(id, now);
        // An owner that was removed from an object wants it back, so the keys of before are told as well.
        if (before?.version !== now.version)
          onChange(namespace, [...new Set([...now.keys, ...(before?.keys ?? [])])]);
      },
    });
    this.#informers.set(kindKey(kind), informer);
    this.#selectors.set(kindKey(kind), labelSelector);
  }

  #keysOfOwn({ kind, metadata }: StoredObject): readonly string[] {
    // Pages are built from the platform, which does not know them: all are reconciled.
    // The platform looks after what is left of a page that is gone.
    return kind === TOP_CLIENTS.kind
      ? this.everything(metadata.namespace!)
      : [pageKey(metadata.name), PLATFORM_KEY];
  }

  #keysOfOwner({ apiVersion, metadata, kind }: StoredObject): readonly string[] {
    const owner = metadata.ownerReferences?.find(({ controller }) => controller);
    switch (owner?.kind) {
      case PAGE_VIEW.kind:
        return [pageKey(owner.name)];
      case TOP_CLIENTS.kind:
        // Pages wait for the stores, so all keys are told.
        return STORES.has(kind) ? this.everything(metadata.namespace!) : [PLATFORM_KEY];
      case undefined:
        // A store that outlives the platform has no owner.
        return STORES.has(kind)
          ? this.everything(metadata.namespace!)
          : isStore({ apiVersion, kind })
            ? [PLATFORM_KEY]
            : [];
      default:
        return [];
    }
  }

  /** The controllers of pods are not ours, so their labels tell: an instance is a page, or one of its views. */
  #keysOfPod({ metadata: { labels = {}, namespace = '' } }: StoredObject): readonly string[] {
    const { [COMPONENT]: component, [INSTANCE]: instance = '' } = labels;
    if (component === 'operator') return [];
    const pages = this.#pagesOf(namespace).filter(
      (name) => instance === name || instance.startsWith(`${name}-`),
    );
    return pages.length > 0 && component !== instance
      ? pages.map(pageKey)
      : [PLATFORM_KEY, ...pages.map(pageKey)];
  }
}

const COMPONENT = 'app.kubernetes.io/component';
const INSTANCE = 'app.kubernetes.io/instance';

const STORES = new Set(['StatefulSet', 'Kafka', 'KafkaTopic', 'KafkaUser', 'Cluster', 'Database']);

/** The annotations that ask for something. */
const REQUESTS = [REPUBLISH_ANNOTATION, RESTORED_ANNOTATION, ROTATE_CALLERS_ANNOTATION];

/** What must change in an object for the change to count. In our own resources the status does not: we write it. */
function versionOf(kind: Kind, object: StoredObject): string {
  const { metadata } = object;
  if (kind === POD) return stateOf(object);
  const own = kind.apiVersion === TOP_CLIENTS.apiVersion;
  return own
    ? `${metadata.uid} ${metadata.generation} ${metadata.deletionTimestamp ?? ''} ${REQUESTS.map((request) => metadata.annotations?.[request] ?? '').join(' ')}`
    : `${metadata.uid} ${metadata.resourceVersion}`;
}

/** What decisions read of a pod. Its status has more, which changes more often. */
function stateOf({ metadata, status }: StoredObject): string {
  const {
    phase,
    reason,
    podIP,
    conditions = [],
    initContainerStatuses = [],
    containerStatuses = [],
  } = status ?? {};
  return JSON.stringify([
    metadata.uid,
    metadata.deletionTimestamp,
    [phase, reason, podIP],
    conditions.map((one: { type: string; status: string; reason?: string }) => [
      one.type,
      one.status,
      one.reason,
    ]),
    [...initContainerStatuses, ...containerStatuses].map(({ ready, restartCount, state }) => [
      ready,
      restartCount,
      Object.keys(state ?? {}),
      state?.waiting?.reason,
    ]),
  ]);
}
