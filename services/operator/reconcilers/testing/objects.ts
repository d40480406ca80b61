import type { KubeObject } from '#cdk8s/kube-object.ts';
import type { StoredObject } from '../../runtime/kube.ts';

/** An object as a construct makes it. */
export const object = (apiVersion: string, kind: string, spec: object = {}): KubeObject => ({
  apiVersion,
  kind,
  metadata: { name: 'x', namespace: 'shop' },
  spec,
});

/** The same object as the API server stores it. */
export const stored = (wanted: KubeObject, status?: unknown, generation = 2): StoredObject => ({
  ...wanted,
  metadata: {
    ...wanted.metadata,
    uid: 'u',
    resourceVersion: '1',
    generation,
    creationTimestamp: '2026-11-23T12:00:00Z',
  },
  status,
});
