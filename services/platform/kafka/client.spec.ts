import { expect, test } from '@jest/globals';
import { KAFKA_SETTINGS } from './client.ts';

const { schema } = KAFKA_SETTINGS.brokers;

test('brokers are told by name and port', () => {
  expect(schema.parse('a:9092, b.example.com:9093')).toEqual(['a:9092', 'b.example.com:9093']);
});

test.each(['[fd00::1]:9092', 'fd00::1:9092', 'a', 'a:9092,', 'PLAINTEXT://a:9092'])(
  'a broker called %s is refused with what to write instead',
  (text) => {
    expect(schema.safeParse(text).error?.issues[0]?.message).toBe(
      'must be host:port each; an IPv6 address needs a name there',
    );
  },
);
