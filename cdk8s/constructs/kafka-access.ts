import { names, type Platform } from '../platform.ts';
import type { EnvironmentVariable, Volume } from './role-pod.ts';

/** The roles with an account of their own where Kafka has accounts. */
export type KafkaUserName =
  | 'outbox-relay'
  | 'projector'
  | 'compare-views'
  | 'watch-view'
  | 'drop-view'
  | 'republish'
  | 'autoscaler';

export const kafkaUserOf = (user: KafkaUserName) => `top-clients-${user}`;

/** The secret in which Strimzi keeps its CA certificate, as `ca.crt`. */
export const STRIMZI_CA = `${names.kafka}-cluster-ca-cert`;
const CA_FOLDER = '/etc/kafka-ca';

/** Bootstrap addresses with the namespace, because KEDA connects from another one. */
export function brokersOf({ namespace, spec: { kafka } }: Platform): readonly string[] {
  switch (kafka.mode) {
    case 'embedded':
      return [`${names.kafka}.${namespace}.svc:9092`];
    case 'strimzi':
      return [`${names.kafka}-kafka-bootstrap.${namespace}.svc:9093`];
    case 'external':
      return kafka.external.brokers;
  }
}

/** What a role needs to reach Kafka in the platform's mode: settings, secrets, certificates. */
export function kafkaAccess(
  platform: Platform,
  user: Exclude<KafkaUserName, 'autoscaler'> | 'migrate',
): { readonly env: readonly EnvironmentVariable[]; readonly volumes: readonly Volume[] } {
  const { kafka } = platform.spec;
  const plain = (name: string, value: string): EnvironmentVariable => ({ name, value });
  const secret = (name: string, from: string, key: string): EnvironmentVariable => ({
    name,
    valueFrom: { secretKeyRef: { name: from, key } },
  });
  const brokers = plain('TC_KAFKA_BROKERS', brokersOf(platform).join(','));
  const tls = [plain('TC_KAFKA_TLS', 'true')];
  const caFile = plain('TC_KAFKA_CA_FILE', `${CA_FOLDER}/ca.crt`);
  const authority = (secretName: string, key: string): Volume => ({
    name: 'kafka-ca',
    mountPath: CA_FOLDER,
    source: { secret: { secretName, items: [{ key, path: 'ca.crt' }] } },
  });
  switch (kafka.mode) {
    case 'embedded':
      return { env: [brokers], volumes: [] };
    case 'strimzi': {
      // The topic is a `KafkaTopic` there; no role of ours may create it.
      if (user === 'migrate') throw new Error('with kafka.mode strimzi nothing is migrated in Kafka');
      // Strimzi writes a KafkaUser's password into a secret of the same name.
      const name = kafkaUserOf(user);
      return {
        env: [
          brokers,
          ...tls,
          caFile,
          plain('TC_KAFKA_SASL_MECHANISM', 'scram-sha-512'),
          plain('TC_KAFKA_SASL_USERNAME', name),
          secret('TC_KAFKA_SASL_PASSWORD', name, 'password'),
        ],
        volumes: [authority(STRIMZI_CA, 'ca.crt')],
      };
    }
    case 'external': {
      const { tls: wanted, sasl } = kafka.external;
      const ca = wanted?.enabled && wanted.existingSecret ? wanted.existingSecret : null;
      return {
        env: [
          brokers,
          ...(wanted?.enabled ? tls : []),
          ...(ca ? [caFile] : []),
          ...(sasl
            ? [
                plain('TC_KAFKA_SASL_MECHANISM', sasl.mechanism),
                secret('TC_KAFKA_SASL_USERNAME', sasl.existingSecret, sasl.usernameKey),
                secret('TC_KAFKA_SASL_PASSWORD', sasl.existingSecret, sasl.passwordKey),
              ]
            : []),
        ],
        volumes: ca && wanted ? [authority(ca, wanted.caKey)] : [],
      };
    }
  }
}
