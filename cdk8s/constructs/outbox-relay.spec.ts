import { expect, test } from '@jest/globals';
import { built, platformOf } from '../testing/platforms.ts';
import { outboxRelay } from './outbox-relay.ts';

test('the relay and its budget', () => {
  expect(
    built((scope) => outboxRelay(scope, platformOf({ relay: { replicas: 3, shards: 2 } }))),
  ).toMatchSnapshot();
});
