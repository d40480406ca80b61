import { REPUBLISH_ANNOTATION, ROTATE_CALLERS_ANNOTATION } from '#cdk8s/api/top-clients.ts';
import type { Log } from '#platform/log.ts';
import type { Api } from '../runtime/api.ts';
import { type RunningInformer, startInformer } from '../runtime/informer.ts';
import type { Kind, Kube, StoredObject } from '../runtime/kube.ts';
import { kindKey } from '../runtime/objects.ts';
import { BUILT_IN, OF_OTHERS, OURS, PAGE_VIEW, TOP_CLIENTS } from './kinds.ts';
import { PLATFORM_KEY, pageKey } from './reconcile.ts';

export interface WatchingSettings {
  readonly api: Api;
  readonly kube: Pick<Kube, 'serves'>;
  readonly namespace: string;
  /** Told which keys a change concerns. */
  readonly onChange: (keys: readonly string[]) => void;
  readonly onRelist: (kind: string) => void;
  readonly log: Log;
}

/** Follows everything whose change may ask for a reconcile. Reconciles read for themselves; this only wakes them. */
export class Watching {
  readonly #settings: WatchingSettings;
  readonly #informers = new Map<string, RunningInformer>();
  /** What the last change of an object was about, to see what the next is, a deletion above all. */
  readonly #seen = new Map<string, { readonly version: string; readonly keys: readonly string[] }>();

  constructor(settings: WatchingSettings) {
    this.#settings = settings;
    for (const kind of [TOP_CLIENTS, PAGE_VIEW]) this.#start(kind, (object) => this.#keysOfOwn(object));
    for (const kind of BUILT_IN) this.#start(kind, (object) => this.#keysOfOwner(object), OURS);
  }

  /** Follows the kinds of others that have come since the last call, and no longer those that have gone. */
  async followOthers(): Promise<void> {
    for (const kind of OF_OTHERS) {
      const running = this.#informers.get(kindKey(kind));
      const served = await this.#settings.kube.serves(kind);
      if (served && !running) {
        this.#start(kind, (object) => this.#keysOfOwner(object), OURS);
        this.#settings.onChange(this.everything());
      }
      if (!served && running) {
        this.#informers.delete(kindKey(kind));
        await running.stop();
        this.#settings.onChange(this.everything());
      }
    }
  }

  /** Resolves once every kind was listed. */
  async listed(): Promise<void> {
    await Promise.all([...this.#informers.values()].map(({ listed }) => listed));
  }

  everything(): string[] {
    const pages = this.#informers.get(kindKey(PAGE_VIEW))?.list() ?? [];
    return [PLATFORM_KEY, ...pages.map(({ metadata }) => pageKey(metadata.name))];
  }

  /** A sentence about the first kind that is not followed; null when all are. */
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
    const { api, namespace, log, onChange, onRelist } = this.#settings;
    const informer = startInformer(api, {
      kind,
      namespace,
      ...(labelSelector === undefined ? {} : { labelSelector }),
      log,
      onRelist: () => onRelist(kind.kind),
      onChange: (name, object) => {
        const id = `${kindKey(kind)} ${name}`;
        const before = this.#seen.get(id);
        if (!object) {
          this.#seen.delete(id);
          if (before) onChange(before.keys);
          return;
        }
        const now = { version: versionOf(kind, object), keys: keysOf(object) };
        this.#seen.set(id, now);
        // An owner that was taken away is one that wants its object back.
        if (before?.version !== now.version) onChange([...new Set([...now.keys, ...(before?.keys ?? [])])]);
      },
    });
    this.#informers.set(kindKey(kind), informer);
  }

  #keysOfOwn({ kind, metadata }: StoredObject): readonly string[] {
    // Pages are built from the platform, and the platform does not know them.
    return kind === TOP_CLIENTS.kind ? this.everything() : [pageKey(metadata.name)];
  }

  #keysOfOwner({ metadata, kind }: StoredObject): readonly string[] {
    const owner = metadata.ownerReferences?.find(({ controller }) => controller);
    switch (owner?.kind) {
      case PAGE_VIEW.kind:
        return [pageKey(owner.name)];
      case TOP_CLIENTS.kind:
        // Pages wait for the stores.
        return STORES.has(kind) ? this.everything() : [PLATFORM_KEY];
      default:
        return [];
    }
  }
}

const STORES = new Set(['StatefulSet', 'Kafka', 'KafkaTopic', 'KafkaUser', 'Cluster', 'Database']);

/** What is asked for by an annotation. */
const REQUESTS = [REPUBLISH_ANNOTATION, ROTATE_CALLERS_ANNOTATION];

/** What of an object has to change for it to matter: of our own resources not the status, which we write ourselves. */
function versionOf(kind: Kind, { metadata }: StoredObject): string {
  const own = kind.apiVersion === TOP_CLIENTS.apiVersion;
  return own
    ? `${metadata.uid} ${metadata.generation} ${metadata.deletionTimestamp ?? ''} ${REQUESTS.map((request) => metadata.annotations?.[request] ?? '').join(' ')}`
    : `${metadata.uid} ${metadata.resourceVersion}`;
}
