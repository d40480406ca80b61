import type { KubeObject } from '#cdk8s/kube-object.ts';
import type { StoredObject } from '../../runtime/kube.ts';

/** The objects of a cluster, as its controllers read and write them. */
export interface Cluster {
  readonly objects: { values(): Iterable<StoredObject> };
  put(object: KubeObject, status: object): unknown;
  names(kind: string): readonly string[];
  remove(kind: string, name: string): void;
}

/** How a Job ends, with the termination message of its pod; null while it runs. */
export type JobFate = (job: StoredObject) => { readonly failed?: boolean; readonly words?: string } | null;

/**
 * Stands in for Kubernetes' own controllers and for nodes on which every pod runs: what was applied becomes ready.
 * @param at ms since the epoch, recorded as the end of Jobs
 * @param podIP of every pod
 */
export function settle(
  kube: Cluster,
  at: number,
  fate: JobFate = () => ({}),
  podIP: string = '10.0.0.1',
): void {
  for (const object of [...kube.objects.values()]) {
    const { kind, metadata, spec } = object;
    const replicas = spec?.replicas ?? 1;
    const all = { observedGeneration: metadata.generation, replicas, updatedReplicas: replicas };
    switch (kind) {
      case 'Deployment': {
        kube.put(object, {
          ...all,
          availableReplicas: replicas,
          readyReplicas: replicas,
          conditions: [{ type: 'Available', status: 'True' }],
        });
        pods(kube, object, replicas, podIP);
        break;
      }
      case 'StatefulSet':
        kube.put(object, { ...all, readyReplicas: replicas });
        break;
      case 'Job': {
        if (object.status?.conditions) break;
        const end = fate(object);
        if (!end) break;
        const condition = {
          type: end.failed ? 'Failed' : 'Complete',
          status: 'True',
          message: end.failed ? 'Job has reached the specified backoff limit' : undefined,
          lastTransitionTime: new Date(at).toISOString(),
        };
        kube.put(object, { conditions: [condition] });
        kube.put(
          {
            apiVersion: 'v1',
            kind: 'Pod',
            metadata: {
              name: `${metadata.name}-x`,
              ...namespaceOf(metadata),
              labels: { ...spec.template.metadata.labels, 'batch.kubernetes.io/job-name': metadata.name },
            },
          },
          {
            phase: end.failed ? 'Failed' : 'Succeeded',
            containerStatuses: [
              { state: { terminated: { finishedAt: new Date(at).toISOString(), message: end.words } } },
            ],
          },
        );
      }
    }
  }
  collect(kube);
}

/** Pods of a Deployment, all of its newest kind. */
function pods(kube: Cluster, { metadata, spec }: StoredObject, replicas: number, podIP: string): void {
  for (const name of kube.names('Pod').filter((one) => ownerOf(one) === metadata.name))
    kube.remove('Pod', name);
  for (let i = 0; i < replicas; i++) {
    kube.put(
      {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: {
          name: `${metadata.name}-${i}`,
          ...namespaceOf(metadata),
          labels: spec.template.metadata.labels,
        },
        spec: spec.template.spec,
      },
      { phase: 'Running', podIP },
    );
  }
}

const namespaceOf = ({ namespace }: StoredObject['metadata']) =>
  namespace === undefined ? {} : { namespace };

/** A pod is called after its owner and one more word. */
const ownerOf = (pod: string): string => pod.slice(0, pod.lastIndexOf('-'));

/** Deletes pods whose workload or Job is gone. */
function collect(kube: Cluster): void {
  const owners = new Set([...kube.names('Deployment'), ...kube.names('Job')]);
  for (const name of kube.names('Pod')) if (!owners.has(ownerOf(name))) kube.remove('Pod', name);
}
