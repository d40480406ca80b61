import type { Kube, StoredObject } from '../runtime/kube.ts';
import { refOf } from '../runtime/objects.ts';

/** Keeps a page from being gone before what was made in its database is removed. */
export const FINALIZER = 'topclients.dev/page-views';

/**
 * Puts our finalizer on an object, or takes it off; those of others stay.
 * @throws KubeError 409 when the object has changed since it was read
 */
export async function setFinalizer(
  kube: Pick<Kube, 'patch'>,
  object: StoredObject,
  wanted: boolean,
): Promise<StoredObject> {
  const { finalizers = [], resourceVersion } = object.metadata;
  if (finalizers.includes(FINALIZER) === wanted) return object;
  const others = finalizers.filter((one) => one !== FINALIZER);
  // A merge patch replaces the list, so it names the version that it was made from.
  return kube.patch(refOf(object), {
    metadata: { finalizers: wanted ? [...others, FINALIZER] : others, resourceVersion },
  });
}
