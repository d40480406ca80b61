import { isNativeError } from 'node:util/types';

/**
 * What a failed send means. `record`: the broker will refuse some record of the batch for ever, and the others not at
 * all; it is found by halving the batch. `topic`: nothing can be sent until somebody changes the topic, the cluster or
 * our rights; the batch is tried again unchanged. `transient`: the same, and it is expected to pass by itself.
 */
export type FailureKind = 'record' | 'topic' | 'transient';

export interface SendFailure {
  readonly kind: FailureKind;
  /** Kafka's name of the error, or kafkajs' own; one of `REASONS`. */
  readonly reason: Reason;
  /** What the error says. */
  readonly message: string;
}

interface Meaning {
  readonly kind: FailureKind;
  /** What helps, for the log and the runbook; null where waiting does. */
  readonly cure: string | null;
}

/*
 * After Kafka's own list of a produce request's errors (ProduceResponse.java), the broker's checks of a batch
 * (LogValidator, UnifiedLog) and https://kafka.apache.org/protocol.html#protocol_error_codes. `record` is what the broker
 * decides by looking at the records of one batch, so that another batch may pass. What kafkajs calls retriable is
 * transient. Reasons that are not here are transient: unknown ones must neither hold a seller nor be hidden, and a send
 * that keeps failing is named all the same.
 */
const MEANINGS = {
  // The records of one batch.
  MESSAGE_TOO_LARGE: { kind: 'record', cure: 'raise max.message.bytes of the topic' },
  // The batch against segment.bytes; less in a batch, or less in a record, passes.
  RECORD_LIST_TOO_LARGE: { kind: 'record', cure: 'raise segment.bytes of the topic' },
  // A record's time against message.timestamp.before.max.ms and .after.max.ms.
  INVALID_TIMESTAMP: {
    kind: 'record',
    cure: 'raise message.timestamp.before.max.ms of the topic, and set the clocks of relay and brokers',
  },
  // The batch was looked through and a record was found wanting (KIP-467); a broker's own checks of values, too.
  INVALID_RECORD: { kind: 'record', cure: "look into the broker's log for what it checks records for" },
  // Of this relay: the row cannot be written as a message at all. Nothing was sent.
  NOT_ENCODABLE: { kind: 'record', cure: 'look at the row, and correct or delete it' },

  // The topic, the cluster, or our rights: the same for every record.
  TOPIC_AUTHORIZATION_FAILED: {
    kind: 'topic',
    cure: "give the relay's user WRITE and DESCRIBE on the topic",
  },
  CLUSTER_AUTHORIZATION_FAILED: {
    kind: 'topic',
    cure: "give the relay's user IDEMPOTENT_WRITE on the cluster",
  },
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: { kind: 'topic', cure: "look at the rights of the relay's user" },
  SASL_AUTHENTICATION_FAILED: { kind: 'topic', cure: "look at the relay's user and password" },
  UNSUPPORTED_SASL_MECHANISM: { kind: 'topic', cure: 'name a mechanism that the brokers offer' },
  ILLEGAL_SASL_STATE: { kind: 'topic', cure: 'name the right listener of the brokers' },
  INVALID_TOPIC_EXCEPTION: { kind: 'topic', cure: 'look at the name and the kind of the topic' },
  POLICY_VIOLATION: { kind: 'topic', cure: 'look at the policies of the cluster' },
  // Asked of what min.insync.replicas can never reach is NOT_ENOUGH_REPLICAS; this one is about the number itself.
  INVALID_REQUIRED_ACKS: { kind: 'topic', cure: 'this relay does not fit the brokers' },
  // Not one record: with this format the topic takes neither headers nor an idempotent producer.
  UNSUPPORTED_FOR_MESSAGE_FORMAT: {
    kind: 'topic',
    cure: 'the topic has a message format older than 0.11: upgrade it',
  },
  UNSUPPORTED_COMPRESSION_TYPE: { kind: 'topic', cure: 'look at compression.type of the topic' },
  UNSUPPORTED_VERSION: { kind: 'topic', cure: 'this relay does not fit the brokers' },
  INVALID_REQUEST: { kind: 'topic', cure: "look into the broker's log; this relay may not fit the brokers" },
  INVALID_CONFIG: { kind: 'topic', cure: 'look at the settings of the topic' },
  SECURITY_DISABLED: {
    kind: 'topic',
    cure: 'the brokers have no authorizer, or the wrong listener is named',
  },
  INVALID_TXN_STATE: { kind: 'topic', cure: 'this relay does not fit the brokers' },

  // Passes by itself, or with the brokers.
  CORRUPT_MESSAGE: { kind: 'transient', cure: null }, // a checksum: damaged on its way
  UNKNOWN_TOPIC_OR_PARTITION: { kind: 'transient', cure: 'make the topic' }, // also while metadata is on its way
  LEADER_NOT_AVAILABLE: { kind: 'transient', cure: null },
  NOT_LEADER_FOR_PARTITION: { kind: 'transient', cure: null },
  REQUEST_TIMED_OUT: { kind: 'transient', cure: null },
  NETWORK_EXCEPTION: { kind: 'transient', cure: null },
  NOT_ENOUGH_REPLICAS: { kind: 'transient', cure: 'bring back the brokers, or lower min.insync.replicas' },
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: {
    kind: 'transient',
    cure: 'bring back the brokers, or lower min.insync.replicas',
  },
  KAFKA_STORAGE_ERROR: { kind: 'transient', cure: "look at the brokers' disks" },
  // A new producer helps against these, and the publisher makes one.
  OUT_OF_ORDER_SEQUENCE_NUMBER: { kind: 'transient', cure: null },
  DUPLICATE_SEQUENCE_NUMBER: { kind: 'transient', cure: null },
  UNKNOWN_PRODUCER_ID: { kind: 'transient', cure: null },
  INVALID_PRODUCER_EPOCH: { kind: 'transient', cure: null },
  INVALID_PRODUCER_ID_MAPPING: { kind: 'transient', cure: null },
  // Kafka's name for a fault of the broker itself.
  UNKNOWN: { kind: 'transient', cure: "look into the broker's log" },
  // No answer of a broker at all: connection refused or lost, no broker known.
  UNREACHABLE: { kind: 'transient', cure: 'look whether the brokers run and can be reached' },
  OTHER: { kind: 'transient', cure: null },
} as const satisfies Record<string, Meaning>;

export type Reason = keyof typeof MEANINGS;
export const REASONS = Object.keys(MEANINGS) as Reason[];
export const meaningOf = (reason: Reason): Meaning => MEANINGS[reason];

/** The broker's memory of this producer no longer fits; only a new one helps. */
export const PRODUCER_LOST: ReadonlySet<Reason> = new Set<Reason>([
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'DUPLICATE_SEQUENCE_NUMBER',
  'UNKNOWN_PRODUCER_ID',
  'INVALID_PRODUCER_EPOCH',
  'INVALID_PRODUCER_ID_MAPPING',
]);

const TOO_LARGE: ReadonlySet<Reason> = new Set<Reason>(['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE']);
/** Whether less in one batch may help where no single record is at fault. */
export const isSize = ({ reason }: SendFailure): boolean => TOO_LARGE.has(reason);

/** kafkajs' own errors, by name: they never left this process, or no answer came. */
const OF_KAFKAJS: Readonly<Record<string, Reason>> = {
  KafkaJSSASLAuthenticationError: 'SASL_AUTHENTICATION_FAILED',
  KafkaJSConnectionError: 'UNREACHABLE',
  KafkaJSConnectionClosedError: 'UNREACHABLE',
  KafkaJSBrokerNotFound: 'UNREACHABLE',
  KafkaJSRequestTimeoutError: 'REQUEST_TIMED_OUT',
};

/** What a failed send means, by the first error along the chain of causes that says so. */
export function failureOf(err: unknown): SendFailure {
  const message = isNativeError(err) ? err.message : String(err);
  let reason: Reason = 'OTHER';
  for (let one = err; isNativeError(one) && reason === 'OTHER'; one = one.cause) {
    const { type, name } = one as { type?: unknown; name: string };
    if (typeof type === 'string' && Object.hasOwn(MEANINGS, type)) reason = type as Reason;
    else reason = OF_KAFKAJS[name] ?? 'OTHER';
  }
  return { kind: MEANINGS[reason].kind, reason, message };
}
