import { expect, test } from '@jest/globals';
import { cloudEventId, MOVED_TYPE, movedId } from '#contracts/events.ts';
import { disorderIn, type TopicMessage } from './topic.ts';

let offset = 0;
const message = (partition: number, version: number, headers: Record<string, string> = {}): TopicMessage => ({
  partition,
  offset: offset++,
  sellerId: 1,
  version,
  value: '{}',
  headers: { ce_id: cloudEventId(1, version), ...headers },
});
const marker = (partition: number, version: number): TopicMessage => ({
  ...message(partition, version, { ce_type: MOVED_TYPE, ce_id: movedId(1, version) }),
  value: null,
});

test('versions in order, some of them again, are in order', () => {
  expect(disorderIn([1, 2, 2, 1, 2, 3].map((version) => message(0, version)))).toEqual([]);
});

test('a version that is missing, and an old one that stands last, are told', () => {
  expect(disorderIn([message(0, 1), message(0, 3)])).toEqual([expect.stringContaining('comes after 1')]);
  expect(disorderIn([1, 2, 1].map((version) => message(0, version)))).toEqual([
    'seller 1: an old version 1 stands last',
  ]);
});

test('a seller may move where a marker says so, in whatever order the partitions are read', () => {
  const old = [message(0, 1), message(0, 2), marker(0, 2)];
  const now = [message(3, 2), message(3, 3)];
  expect(disorderIn([...old, ...now])).toEqual([]);
  expect(disorderIn([...now, ...old])).toEqual([]);
  expect(disorderIn([...now, marker(3, 3), message(5, 3), ...old])).toEqual([]);
});

test('a move without a marker, and a message behind it, are told', () => {
  expect(disorderIn([message(0, 1), message(3, 2)])).toContain('seller 1 changed its partition');
  expect(disorderIn([message(0, 1), marker(0, 1), message(0, 1), message(3, 2)])).toEqual([
    'seller 1: partition 0 goes on behind the marker of the move',
  ]);
});
