import { GROUP, PLURALS as OWN_PLURALS } from '#cdk8s/own-names.ts';
import type { Kind } from './kube.ts';

/** The plural of a kind in addresses, by group and kind; all kinds are namespaced except those in `OF_THE_CLUSTER`. */
const PLURALS: Readonly<Record<string, string>> = {
  '/ConfigMap': 'configmaps',
  '/Event': 'events',
  '/Namespace': 'namespaces',
  '/PersistentVolumeClaim': 'persistentvolumeclaims',
  '/Pod': 'pods',
  '/Secret': 'secrets',
  '/Service': 'services',
  '/ServiceAccount': 'serviceaccounts',
  'apiextensions.k8s.io/CustomResourceDefinition': 'customresourcedefinitions',
  'apps/Deployment': 'deployments',
  'apps/ReplicaSet': 'replicasets',
  'apps/StatefulSet': 'statefulsets',
  'autoscaling/HorizontalPodAutoscaler': 'horizontalpodautoscalers',
  'batch/CronJob': 'cronjobs',
  'batch/Job': 'jobs',
  'coordination.k8s.io/Lease': 'leases',
  'events.k8s.io/Event': 'events',
  'gateway.networking.k8s.io/HTTPRoute': 'httproutes',
  'kafka.strimzi.io/Kafka': 'kafkas',
  'kafka.strimzi.io/KafkaNodePool': 'kafkanodepools',
  'kafka.strimzi.io/KafkaTopic': 'kafkatopics',
  'kafka.strimzi.io/KafkaUser': 'kafkausers',
  'keda.sh/ScaledObject': 'scaledobjects',
  'keda.sh/TriggerAuthentication': 'triggerauthentications',
  'monitoring.coreos.com/PodMonitor': 'podmonitors',
  'monitoring.coreos.com/PrometheusRule': 'prometheusrules',
  'monitoring.coreos.com/ServiceMonitor': 'servicemonitors',
  'networking.k8s.io/Ingress': 'ingresses',
  'networking.k8s.io/NetworkPolicy': 'networkpolicies',
  'policy/PodDisruptionBudget': 'poddisruptionbudgets',
  'postgresql.cnpg.io/Cluster': 'clusters',
  'postgresql.cnpg.io/Database': 'databases',
  'postgresql.cnpg.io/ScheduledBackup': 'scheduledbackups',
  'rbac.authorization.k8s.io/Role': 'roles',
  'rbac.authorization.k8s.io/RoleBinding': 'rolebindings',
  ...Object.fromEntries(Object.entries(OWN_PLURALS).map(([kind, plural]) => [`${GROUP}/${kind}`, plural])),
};
const OF_THE_CLUSTER = new Set(['/Namespace', 'apiextensions.k8s.io/CustomResourceDefinition']);

/** The address of a group and version: `/api/v1`, `/apis/apps/v1`. */
export const groupPath = (apiVersion: string): string =>
  apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;

/**
 * The address of a kind's collection.
 * @param namespace null for all of them
 * @throws Error for a kind the table lacks
 */
export function collectionPath({ apiVersion, kind }: Kind, namespace: string | null): string {
  const key = `${apiVersion.includes('/') ? apiVersion.split('/')[0] : ''}/${kind}`;
  const plural = PLURALS[key];
  if (plural === undefined) {
    throw new Error(`${apiVersion} ${kind} has no known address; add its plural in runtime/resources.ts`);
  }
  const scope =
    namespace === null || OF_THE_CLUSTER.has(key) ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${groupPath(apiVersion)}${scope}/${plural}`;
}

/**
 * The address of one object.
 * @throws Error for a kind the table lacks, and for a namespaced one without its namespace
 */
export function objectPath(kind: Kind, namespace: string | undefined, name: string): string {
  const collection = collectionPath(kind, namespace ?? null);
  if (namespace === undefined && collection !== collectionPath(kind, '-')) {
    throw new Error(`${kind.kind} ${name} needs its namespace`);
  }
  if (name === '') throw new Error(`a ${kind.kind} needs a name`);
  return `${collection}/${encodeURIComponent(name)}`;
}
