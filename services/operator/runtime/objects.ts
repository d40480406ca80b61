import type { KubeObject } from '#cdk8s/kube-object.ts';
import type { Kind, Ref } from './kube.ts';

export const kindKey = ({ apiVersion, kind }: Kind): string => `${apiVersion} ${kind}`;
export const refOf = ({ apiVersion, kind, metadata: { name, namespace } }: KubeObject): Ref => ({
  apiVersion,
  kind,
  name,
  ...(namespace === undefined ? {} : { namespace }),
});
/** Identifies an object within one namespace. */
export const objectKey = ({ apiVersion, kind, name }: Ref): string => `${apiVersion} ${kind} ${name}`;
/** As messages name it: Deployment top-clients. */
export const nameOf = ({ kind, name }: Pick<Ref, 'kind' | 'name'>): string => `${kind} ${name}`;
