import { readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { parseAllDocuments } from 'yaml';
import type { Kind } from '../runtime/kube.ts';
import { collectionPath } from '../runtime/resources.ts';
import { BUILT_IN, EVENT, OF_OTHERS, PAGE_VIEW, POD, SECRET, TOP_CLIENTS } from './kinds.ts';

const ROLES = new URL('../../../charts/top-clients/templates/operator/_rights.tpl', import.meta.url);

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

/** The rights that the chart gives the operator within a namespace, as `apps deployments` → verbs. */
async function given(): Promise<Record<string, string[]>> {
  // What stands alone on a line steers Helm; what stands in a value is a name here.
  const text = (await readFile(ROLES, 'utf8'))
    .split('\n')
    .filter((line) => !line.trim().startsWith('{{'))
    .join('\n')
    .replaceAll(/\{\{.*?\}\}/g, 'x');
  const rules = parseAllDocuments(text)
    .map((document) => document.toJS() as { rules?: readonly Rule[] } | null)
    .map((document) => document?.rules ?? [])
    .find((all) => all.some(({ apiGroups }) => apiGroups.includes('apps')));
  const rights = new Map<string, Set<string>>();
  for (const { apiGroups, resources, verbs } of rules ?? []) {
    for (const group of apiGroups) {
      for (const resource of resources) {
        const right = `${group} ${resource}`.trim();
        rights.set(right, new Set([...(rights.get(right) ?? []), ...verbs]));
      }
    }
  }
  return Object.fromEntries([...rights].map(([right, verbs]) => [right, [...verbs].sort()]));
}

const rightOf = (kind: Kind, subresource = ''): string => {
  const group = kind.apiVersion.includes('/') ? kind.apiVersion.split('/')[0] : '';
  return `${group} ${collectionPath(kind, 'x').split('/').at(-1)}${subresource}`.trim();
};
const READ = ['get', 'list', 'watch'];
/** Server-side apply of an object that is not there is a creation as well. */
const APPLY = ['create', 'delete', 'get', 'list', 'patch', 'watch'];

test('the operator may do what it does, and no more', async () => {
  const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' };
  const used: Readonly<Record<string, readonly string[]>> = {
    ...Object.fromEntries([...BUILT_IN, ...OF_OTHERS].map((kind) => [rightOf(kind), APPLY])),
    [rightOf(TOP_CLIENTS)]: READ,
    // Its finalizer.
    [rightOf(PAGE_VIEW)]: ['get', 'list', 'patch', 'watch'],
    ...Object.fromEntries(
      [TOP_CLIENTS, PAGE_VIEW].flatMap((kind) => [
        [rightOf(kind, '/status'), ['patch']],
        // Not used: the admission of owner references that block deletion asks for it.
        [rightOf(kind, '/finalizers'), ['update']],
      ]),
    ),
    [rightOf(PAGE_VIEW, '/scale')]: ['patch'],
    [rightOf(POD)]: READ,
    [rightOf({ apiVersion: 'v1', kind: 'PersistentVolumeClaim' })]: ['get'],
    // It may not list them, and deletes none: what it owns goes with the owner.
    [rightOf(SECRET)]: ['create', 'get', 'patch'],
    [rightOf(EVENT)]: ['list'],
    // Its own alone: whether it is being deleted.
    namespaces: ['get'],
    'events.k8s.io events': ['create', 'patch'],
    [rightOf(lease)]: ['create', 'get', 'update'],
  };
  expect(await given()).toEqual(used);
});
