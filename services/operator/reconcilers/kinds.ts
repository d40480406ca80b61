import { API_VERSION } from '#cdk8s/api/shared.ts';
import { OPERATOR } from '#cdk8s/own-names.ts';
import { MANAGED_BY } from '../runtime/apply.ts';
import type { Kind } from '../runtime/kube.ts';

export const TOP_CLIENTS: Kind = { apiVersion: API_VERSION, kind: 'TopClients' };
export const PAGE_VIEW: Kind = { apiVersion: API_VERSION, kind: 'PageView' };
export const POD: Kind = { apiVersion: 'v1', kind: 'Pod' };
export const EVENT: Kind = { apiVersion: 'v1', kind: 'Event' };
export const CLAIM: Kind = { apiVersion: 'v1', kind: 'PersistentVolumeClaim' };
export const SECRET: Kind = { apiVersion: 'v1', kind: 'Secret' };
export const SCALED_OBJECT: Kind = { apiVersion: 'keda.sh/v1alpha1', kind: 'ScaledObject' };
export const HORIZONTAL_POD_AUTOSCALER: Kind = {
  apiVersion: 'autoscaling/v2',
  kind: 'HorizontalPodAutoscaler',
};
export const CLUSTER: Kind = { apiVersion: 'postgresql.cnpg.io/v1', kind: 'Cluster' };
export const SCHEDULED_BACKUP: Kind = { apiVersion: 'postgresql.cnpg.io/v1', kind: 'ScheduledBackup' };
export const POD_MONITOR: Kind = { apiVersion: 'monitoring.coreos.com/v1', kind: 'PodMonitor' };

/** Kinds that the constructs build and that every cluster serves. A kind missing here is neither watched nor pruned. */
export const BUILT_IN: readonly Kind[] = [
  { apiVersion: 'v1', kind: 'ServiceAccount' },
  { apiVersion: 'v1', kind: 'ConfigMap' },
  { apiVersion: 'v1', kind: 'Service' },
  { apiVersion: 'apps/v1', kind: 'Deployment' },
  { apiVersion: 'apps/v1', kind: 'StatefulSet' },
  HORIZONTAL_POD_AUTOSCALER,
  { apiVersion: 'batch/v1', kind: 'Job' },
  { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress' },
  { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy' },
  { apiVersion: 'policy/v1', kind: 'PodDisruptionBudget' },
];

/** Kinds that the constructs build where another operator has installed its API. */
export const OF_OTHERS: readonly Kind[] = [
  SCALED_OBJECT,
  { apiVersion: 'keda.sh/v1alpha1', kind: 'TriggerAuthentication' },
  POD_MONITOR,
  { apiVersion: 'monitoring.coreos.com/v1', kind: 'PrometheusRule' },
  { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'HTTPRoute' },
  { apiVersion: 'kafka.strimzi.io/v1', kind: 'Kafka' },
  { apiVersion: 'kafka.strimzi.io/v1', kind: 'KafkaNodePool' },
  { apiVersion: 'kafka.strimzi.io/v1', kind: 'KafkaTopic' },
  { apiVersion: 'kafka.strimzi.io/v1', kind: 'KafkaUser' },
  CLUSTER,
  { apiVersion: 'postgresql.cnpg.io/v1', kind: 'Database' },
  SCHEDULED_BACKUP,
];

/** Groups of other operators that keep our data; what is in their objects goes with them. */
const STORE_GROUPS = ['kafka.strimzi.io', 'postgresql.cnpg.io'];
/** Whether an object is a store that another operator runs, or belongs to one: a cluster, a topic, a user, a backup. */
export const isStore = ({ apiVersion }: Kind): boolean => STORE_GROUPS.includes(apiVersion.split('/')[0]!);

/** The label selector of all objects of ours. */
export const OURS = `${MANAGED_BY}=${OPERATOR}`;
/** The label selector of all pods of ours. */
export const OUR_PODS = 'app.kubernetes.io/name=top-clients';
