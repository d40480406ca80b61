import { names, type Platform } from '../platform.ts';
import type { EnvironmentVariable, Volume } from './role-pod.ts';

/** What a role needs to reach Kafka in the mode of the platform: settings, secrets, certificates. */
export function kafkaAccess(
  platform: Platform,
  user: 'outbox-relay' | 'projector' | 'migrate',
): { readonly env: readonly EnvironmentVariable[]; readonly volumes: readonly Volume[] } {
  const { kafka } = platform.spec;
  const plain = (name: string, value: string): EnvironmentVariable => ({ name, value });
  const secret = (name: string, from: string, key: string): EnvironmentVariable => ({
    name,
    valueFrom: { secretKeyRef: { name: from, key } },
  });
  const authority = (secretName: string, key: string): Volume => ({
    name: 'kafka-ca',
    mountPath: '/etc/kafka-ca',
    source: { secret: { secretName, items: [{ key, path: 'ca.crt' }] } },
  });
  switch (kafka.mode) {
    case 'embedded':
      return { env: [plain('TC_KAFKA_BROKERS', `${names.kafka}:9092`)], volumes: [] };
    case 'strimzi': {
      // Strimzi writes the password of a KafkaUser into a secret of the user's name.
      const name = `top-clients-${user}`;
      return {
        env: [
          plain('TC_KAFKA_BROKERS', `${names.kafka}-kafka-bootstrap:9093`),
          plain('TC_KAFKA_TLS', 'true'),
          plain('TC_KAFKA_CA_FILE', '/etc/kafka-ca/ca.crt'),
          plain('TC_KAFKA_SASL_MECHANISM', 'scram-sha-512'),
          plain('TC_KAFKA_SASL_USERNAME', name),
          secret('TC_KAFKA_SASL_PASSWORD', name, 'password'),
        ],
        volumes: [authority(`${names.kafka}-cluster-ca-cert`, 'ca.crt')],
      };
    }
    case 'external': {
      const { brokers, tls, sasl } = kafka.external;
      return {
        env: [
          plain('TC_KAFKA_BROKERS', brokers.join(',')),
          ...(tls?.enabled ? [plain('TC_KAFKA_TLS', 'true')] : []),
          ...(tls?.enabled && tls.existingSecret ? [plain('TC_KAFKA_CA_FILE', '/etc/kafka-ca/ca.crt')] : []),
          ...(sasl
            ? [
                plain('TC_KAFKA_SASL_MECHANISM', sasl.mechanism),
                secret('TC_KAFKA_SASL_USERNAME', sasl.existingSecret, sasl.usernameKey),
                secret('TC_KAFKA_SASL_PASSWORD', sasl.existingSecret, sasl.passwordKey),
              ]
            : []),
        ],
        volumes: tls?.enabled && tls.existingSecret ? [authority(tls.existingSecret, tls.caKey)] : [],
      };
    }
  }
}
