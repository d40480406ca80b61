import { isNativeError } from 'node:util/types';

/**
 * What a failed send means. `record`: the broker will refuse some record of the batch for ever, and takes the others;
 * the record is found by halving the batch. `topic`: nothing can be sent until somebody changes the topic, the cluster
 * or our rights; the batch is tried again unchanged. `transient`: the batch is tried again unchanged too, and the fault
 * is expected to pass by itself.
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
 * (LogValidator, UnifiedLog) and https://kafka.apache.org/protocol.html#protocol_error_codes. `record` is what the
 * broker decides by looking at the records of one batch, so that another batch may pass. What kafkajs calls retriable
 * is transient. Reasons that are not listed are transient: an unknown one must not hold a seller. It is not hidden
 * either, because a send that keeps failing is logged by its reason.
 */
const MEANINGS = {
  // The records of one batch.
  MESSAGE_TOO_LARGE: { kind: 'record', cure: 'raise max.message.bytes of the topic' },
  // The batch is larger than segment.bytes; fewer or smaller records pass.
  RECORD_LIST_TOO_LARGE: { kind: 'record', cure: 'raise segment.bytes of the topic' },
  // A record's time is outside message.timestamp.before.max.ms or .after.max.ms.
  INVALID_TIMESTAMP: {
    kind: 'record',
    cure: 'raise message.timestamp.before.max.ms of the topic, and set the clocks of relay and brokers',
  },
  // The broker refused one of the records (KIP-467), also by its own checks of values.
  INVALID_RECORD: { kind: 'record', cure: "look into the broker's log for what it checks records for" },
  // Raised by this relay: the row cannot be made a message at all. Nothing was sent.
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
  // A number of replicas below min.insync.replicas is NOT_ENOUGH_REPLICAS; this is about the number of acks itself.
  INVALID_REQUIRED_ACKS: { kind: 'topic', cure: 'this relay does not fit the brokers' },
  // Not one record: a topic of this format takes neither headers nor an idempotent producer.
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

  // Passes by itself, or once the brokers are well.
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
/** Whether a smaller batch may help although no single record is at fault. */
export const isSize = ({ reason }: SendFailure): boolean => TOO_LARGE.has(reason);

/** kafkajs' own errors, by name: the request never left this process, or no answer came. */
const OF_KAFKAJS: Readonly<Record<string, Reason>> = {
  KafkaJSSASLAuthenticationError: 'SASL_AUTHENTICATION_FAILED',
  KafkaJSConnectionError: 'UNREACHABLE',
  KafkaJSConnectionClosedError: 'UNREACHABLE',
  KafkaJSBrokerNotFound: 'UNREACHABLE',
  KafkaJSRequestTimeoutError: 'REQUEST_TIMED_OUT',
};

/** What a failed send means: the first error along the chain of causes whose meaning is known decides. */
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
