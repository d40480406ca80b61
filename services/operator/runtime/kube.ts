import type { KubeObject } from '#cdk8s/kube-object.ts';

/** A kind as the API addresses it: `apps/v1`, `Deployment`. */
export interface Kind {
  readonly apiVersion: string;
  readonly kind: string;
}
export interface Ref extends Kind {
  /** Absent for kinds that have no namespace. */
  readonly namespace?: string;
  readonly name: string;
}
/** An object as the API server answers it. */
export interface StoredObject extends KubeObject {
  readonly metadata: KubeObject['metadata'] & {
    readonly uid: string;
    readonly resourceVersion: string;
    readonly generation?: number;
    readonly creationTimestamp: string;
    readonly deletionTimestamp?: string;
    readonly ownerReferences?: readonly OwnerReference[];
    readonly finalizers?: readonly string[];
  };
  // biome-ignore lint/suspicious/noExplicitAny: the shape is the kind's, and readers know which they asked for
  readonly spec?: any;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  readonly status?: any;
}
export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

/**
 * What the API server refused or could not do. `code` is the HTTP status, `reason` Kubernetes' word for it. Code 0 is
 * no answer (`DeadlineExceeded`, `Unreachable`, or `BrokenOff` by us): a write may still have happened.
 */
export class KubeError extends Error {
  override name = 'KubeError';
  readonly code: number;
  readonly reason: string;
  /** How long the server asks to wait before the next try, in ms. */
  readonly retryAfterMs: number | null;
  constructor(message: string, code: number, reason: string, retryAfterMs: number | null = null) {
    super(message);
    this.code = code;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Whether the operator's rights do not allow what it asked for: whoever narrowed them is responsible for that. */
export const isForbidden = (err: unknown): err is KubeError => err instanceof KubeError && err.code === 403;

/** The API server, as the operator uses it. Every call has a deadline; refusals are thrown as `KubeError`. */
export interface Kube {
  /** Null when the object does not exist. */
  get(ref: Ref): Promise<StoredObject | null>;
  list(
    kind: Kind,
    namespace: string | null,
    labelSelector?: string,
    options?: {
      readonly fieldSelector?: string;
      /** Asks the API server, whatever a cache has. */
      readonly fresh?: boolean;
    },
  ): Promise<StoredObject[]>;
  /** Server-side apply of raw JSON under our field manager, taking over fields of others. */
  apply(
    object: KubeObject,
    options?: {
      readonly dryRun?: boolean;
      /** The field manager, when it is not ours. */
      readonly fieldManager?: string;
      /** False: an apply that would take over a field is refused with KubeError 409. */
      readonly force?: boolean;
    },
  ): Promise<StoredObject>;
  /** Server-side apply of the status subresource: `object` is apiVersion, kind, metadata, status. */
  applyStatus(object: KubeObject): Promise<StoredObject>;
  /** @throws KubeError 409 AlreadyExists */
  create(object: KubeObject): Promise<StoredObject>;
  /** JSON merge patch, of the object or of a subresource (`scale`). */
  patch(ref: Ref, patch: unknown, subresource?: string): Promise<StoredObject>;
  /** Replaces the whole object; `resourceVersion` in it makes this a compare-and-swap. */
  replace(object: StoredObject): Promise<StoredObject>;
  /** An object that is already gone is no error. `uid` protects a later object of the same name. */
  delete(ref: Ref, options?: { readonly uid?: string }): Promise<void>;
  /** Whether the API server serves this kind; asked once a minute at most. */
  serves(kind: Kind): Promise<boolean>;
}

/** A cache of a kind's objects, kept up by a watch. */
export interface Informer {
  get(namespace: string, name: string): StoredObject | undefined;
  list(): readonly StoredObject[];
  /** Null while the cache follows the server; otherwise why not: never listed, or nothing heard for too long. */
  staleBecause(): string | null;
}

/** Writes Kubernetes Events; repeats within minutes become one count. It never throws. */
export interface EventRecorder {
  event(about: StoredObject, type: 'Normal' | 'Warning', reason: string, message: string): void;
}

/** Keys waiting to be reconciled: each waits at most once, and one key is never reconciled twice at a time. */
export interface WorkQueue {
  add(key: string): void;
  addAfter(key: string, delayMs: number): void;
}
