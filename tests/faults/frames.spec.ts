import { expect, test } from '@jest/globals';
import { FrameReader } from './frames.ts';

const int16 = (value: number) => {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
};
const int32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
};
const typed = (type: string, ...parts: Buffer[]) => {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from(type), int32(body.length + 4), body]);
};
const text = (value: string) => Buffer.from(`${value}\0`);
const startup = Buffer.concat([int32(8), int32(196_608)]);
const bind = (statement: string, parameter: string) =>
  typed(
    'B',
    text(''),
    text(statement),
    int16(1),
    int16(0),
    int16(1),
    int32(parameter.length),
    Buffer.from(parameter),
    int16(0),
  );

test('messages of a PostgreSQL client are told apart, the first one without a type', () => {
  const reader = new FrameReader('postgres', 'client');
  const bytes = Buffer.concat([
    startup,
    typed('Q', text('commit')),
    bind('ack-and-fetch', '{1,2}'),
    typed('S'),
  ]);
  expect(reader.read(bytes).map(({ label }) => label)).toEqual([
    '',
    'Q commit',
    'B ack-and-fetch {1,2}',
    'S',
  ]);
});

test('bytes come out as they went in, however they are cut', () => {
  const all = Buffer.concat([startup, typed('Q', text('select 1')), bind('checkpoint', '{0}'), typed('S')]);
  for (let size = 1; size < all.length; size++) {
    const reader = new FrameReader('postgres', 'client');
    const frames = [];
    for (let at = 0; at < all.length; at += size) frames.push(...reader.read(all.subarray(at, at + size)));
    expect(Buffer.concat(frames.map(({ bytes }) => bytes))).toEqual(all);
    expect(frames.map(({ label }) => label)).toEqual(['', 'Q select 1', 'B checkpoint {0}', 'S']);
  }
});

test('an answer of PostgreSQL tells what was completed, and when it is ready for more', () => {
  const reader = new FrameReader('postgres', 'server');
  const bytes = Buffer.concat([typed('C', text('COMMIT')), typed('Z', Buffer.from('I'))]);
  expect(reader.read(bytes).map(({ label }) => label)).toEqual(['C COMMIT', 'Z']);
});

test('requests to Kafka are known by their kind, and tied to their answers', () => {
  const body = Buffer.concat([int16(0), int16(9), int32(42)]);
  const [request] = new FrameReader('kafka', 'client').read(Buffer.concat([int32(body.length), body]));
  expect(request).toMatchObject({ label: 'produce', correlation: 42 });
  const [answer] = new FrameReader('kafka', 'server').read(Buffer.concat([int32(4), int32(42)]));
  expect(answer).toMatchObject({ label: '', correlation: 42 });
});
