import { type Kube, KubeError } from './kube/kube.ts';

/** The same API server for one who may only write while it leads: a call that comes too late is not made. */
export function whileLeading(kube: Kube, term: { isValid(): boolean }): Kube {
  const writing =
    <A extends unknown[], R>(call: (...given: A) => Promise<R>) =>
    async (...given: A): Promise<R> => {
      if (!term.isValid()) throw new KubeError('this process does not lead any more', 0, 'NotLeader');
      return call(...given);
    };
  return {
    get: (ref) => kube.get(ref),
    list: (kind, namespace, selector) => kube.list(kind, namespace, selector),
    serves: (kind) => kube.serves(kind),
    apply: writing((object, options) => kube.apply(object, options)),
    applyStatus: writing((object) => kube.applyStatus(object)),
    create: writing((object) => kube.create(object)),
    patch: writing((ref, patch, subresource) => kube.patch(ref, patch, subresource)),
    replace: writing((object) => kube.replace(object)),
    delete: writing((ref, options) => kube.delete(ref, options)),
  };
}
