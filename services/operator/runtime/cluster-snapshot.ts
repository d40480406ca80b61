import type { Kind, Ref, StoredObject } from './kube.ts';
import { kindKey, objectKey, refOf } from './objects.ts';

/** What an Event says. */
export interface Warning {
  readonly reason: string;
  readonly words: string;
}

/** Our objects in a namespace, and the pods, as listed at the beginning of a reconcile. */
export class ClusterSnapshot {
  readonly pods: readonly StoredObject[];
  /** What Kubernetes' Events say of pods that do not get on, by the pods' uid. */
  readonly warnings: ReadonlyMap<string, Warning>;
  readonly #objects: ReadonlyMap<string, StoredObject>;
  readonly #served: ReadonlySet<string>;

  constructor(
    objects: readonly StoredObject[],
    pods: readonly StoredObject[],
    served: readonly Kind[],
    warnings: ReadonlyMap<string, Warning> = new Map(),
  ) {
    this.#objects = new Map(objects.map((object) => [objectKey(refOf(object)), object]));
    this.pods = pods;
    this.warnings = warnings;
    this.#served = new Set(served.map(kindKey));
  }

  find(ref: Ref): StoredObject | undefined {
    return this.#objects.get(objectKey(ref));
  }
  serves(kind: Kind): boolean {
    return this.#served.has(kindKey(kind));
  }
  all(): readonly StoredObject[] {
    return [...this.#objects.values()];
  }
}
