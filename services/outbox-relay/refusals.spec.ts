import { createRequire } from 'node:module';
import { expect, test } from '@jest/globals';
import { failureOf, meaningOf, REASONS } from './refusals.ts';

const { errorCodes } = createRequire(import.meta.url)('kafkajs/src/protocol/error.js') as {
  errorCodes: ReadonlyArray<{ type: string; retriable: boolean }>;
};
const protocolError = (type: string) => Object.assign(new Error(`it says ${type}`), { type });

// ProduceResponse.java lists what a produce request may come back with; the last two are of the broker's checks.
test.each([
  ['CORRUPT_MESSAGE', 'transient'],
  ['UNKNOWN_TOPIC_OR_PARTITION', 'transient'],
  ['NOT_LEADER_FOR_PARTITION', 'transient'],
  ['MESSAGE_TOO_LARGE', 'record'],
  ['INVALID_TOPIC_EXCEPTION', 'topic'],
  ['RECORD_LIST_TOO_LARGE', 'record'],
  ['NOT_ENOUGH_REPLICAS', 'transient'],
  ['NOT_ENOUGH_REPLICAS_AFTER_APPEND', 'transient'],
  ['INVALID_REQUIRED_ACKS', 'topic'],
  ['TOPIC_AUTHORIZATION_FAILED', 'topic'],
  ['UNSUPPORTED_FOR_MESSAGE_FORMAT', 'topic'],
  ['INVALID_PRODUCER_EPOCH', 'transient'],
  ['CLUSTER_AUTHORIZATION_FAILED', 'topic'],
  ['TRANSACTIONAL_ID_AUTHORIZATION_FAILED', 'topic'],
  ['INVALID_RECORD', 'record'],
  ['INVALID_TXN_STATE', 'topic'],
  ['INVALID_PRODUCER_ID_MAPPING', 'transient'],
  ['INVALID_TIMESTAMP', 'record'],
  ['UNSUPPORTED_COMPRESSION_TYPE', 'topic'],
])('%s is a matter of kind %s', (type, kind) => {
  expect(failureOf(protocolError(type))).toEqual({ kind, reason: type, message: `it says ${type}` });
});

test('the reason is found below what kafkajs wraps around it', () => {
  const cause = protocolError('INVALID_TIMESTAMP');
  const wrapped = Object.assign(new Error('wrapped', { cause }), { name: 'KafkaJSNonRetriableError' });
  expect(failureOf(wrapped)).toMatchObject({ kind: 'record', reason: 'INVALID_TIMESTAMP' });
});

test('no answer, and what nobody knows, is transient and has a reason all the same', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED'), { name: 'KafkaJSConnectionError' });
  expect(failureOf(refused)).toMatchObject({ kind: 'transient', reason: 'UNREACHABLE' });
  expect(failureOf(protocolError('KAFKAJS_UNKNOWN_ERROR_CODE'))).toMatchObject({
    kind: 'transient',
    reason: 'OTHER',
  });
  expect(failureOf('nonsense')).toEqual({ kind: 'transient', reason: 'OTHER', message: 'nonsense' });
});

test('what kafkajs would try again for ever is never held against a record or the topic', () => {
  for (const { type, retriable } of errorCodes)
    if (retriable) expect(failureOf(protocolError(type)).kind).toBe('transient');
});

test('whatever a person must mend says how', () => {
  for (const reason of REASONS)
    if (meaningOf(reason).kind !== 'transient') expect(meaningOf(reason).cure).not.toBeNull();
});
