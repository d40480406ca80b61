import { GROUP } from '#cdk8s/own-names.ts';
import type { Log } from '#platform/log.ts';
import { isForbidden, type Kube, type StoredObject } from '../runtime/kube.ts';
import { refOf } from '../runtime/objects.ts';
import { PAGE_VIEW } from './kinds.ts';

/** Keeps a page from being gone before what was made in its database is removed. */
export const FINALIZER = `${GROUP}/page-views`;

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

/** Whether a namespace is being deleted: nothing can be made there any more. False where that may not be asked. */
export async function isEnding(kube: Pick<Kube, 'get'>, namespace: string): Promise<boolean> {
  try {
    const found = await kube.get({ apiVersion: 'v1', kind: 'Namespace', name: namespace });
    return found?.metadata.deletionTimestamp !== undefined;
  } catch (err) {
    if (isForbidden(err)) return false;
    throw err;
  }
}

/**
 * Takes our finalizer off every page of a namespace that is being deleted; elsewhere it does nothing. For an operator
 * that stops: it may be deleted before the pages are, and nobody else would let go of them.
 */
export async function letGoOfPages(
  kube: Pick<Kube, 'get' | 'list' | 'patch'>,
  namespace: string,
  log: Log,
): Promise<void> {
  try {
    if (!(await isEnding(kube, namespace))) return;
    for (const page of await kube.list(PAGE_VIEW, namespace)) await setFinalizer(kube, page, false);
  } catch (err) {
    log.warn({ err }, 'pages of the ending namespace may still carry the finalizer');
  }
}
