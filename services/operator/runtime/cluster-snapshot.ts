import type { Kind, Ref, StoredObject } from './kube.ts';
import { kindKey, objectKey, refOf } from './objects.ts';

/** Our objects in a namespace, and the pods, as listed at the beginning of a reconcile. */
export class ClusterSnapshot {
  readonly pods: readonly StoredObject[];
  readonly #objects: ReadonlyMap<string, StoredObject>;
  readonly #served: ReadonlySet<string>;

  constructor(objects: readonly StoredObject[], pods: readonly StoredObject[], served: readonly Kind[]) {
    this.#objects = new Map(objects.map((object) => [objectKey(refOf(object)), object]));
    this.pods = pods;
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
