import type { KubeObject } from '../kube-object.ts';

const KINDS = [
  ['kafka.strimzi.io', 'v1', 'Kafka', 'kafkas'],
  ['kafka.strimzi.io', 'v1', 'KafkaNodePool', 'kafkanodepools'],
  ['kafka.strimzi.io', 'v1', 'KafkaTopic', 'kafkatopics'],
  ['kafka.strimzi.io', 'v1', 'KafkaUser', 'kafkausers'],
  ['postgresql.cnpg.io', 'v1', 'Cluster', 'clusters'],
  ['postgresql.cnpg.io', 'v1', 'Database', 'databases'],
  ['monitoring.coreos.com', 'v1', 'PodMonitor', 'podmonitors'],
  ['monitoring.coreos.com', 'v1', 'PrometheusRule', 'prometheusrules'],
  ['gateway.networking.k8s.io', 'v1', 'HTTPRoute', 'httproutes'],
  ['keda.sh', 'v1alpha1', 'ScaledObject', 'scaledobjects'],
  ['keda.sh', 'v1alpha1', 'TriggerAuthentication', 'triggerauthentications'],
] as const;

/**
 * Stand-ins for other operators' CRDs, so that an API server accepts objects of their kinds. They require a spec, but
 * nothing of its content.
 */
export const FOREIGN_KINDS: readonly KubeObject[] = KINDS.map(([group, version, kind, plural]) => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: `${plural}.${group}` },
  spec: {
    group,
    scope: 'Namespaced',
    names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` },
    versions: [
      {
        name: version,
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            required: ['spec'],
            properties: { spec: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
          },
        },
      },
    ],
  },
}));
