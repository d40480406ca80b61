import { expect, jest, test } from '@jest/globals';
import { openMetrics } from '#role/metrics.ts';
import type { Log } from '../log.ts';
import { silentLog } from '../log.ts';
import { readHead } from './batch-decoder.ts';
import { openKafka } from './client.ts';
import { decodeFetchedBatch, installKafkaCodecs } from './install.ts';
import { type Library, loadedKafkajs, type Module } from './kafkajs.ts';

const CODECS = ['gzip', 'snappy', 'lz4', 'zstd', 'broker-connect', 'request-queue', 'produce-request'];

/** What is said as an error, and the gauge, after an installation into this kafkajs. */
async function install(library: Library) {
  const error = jest.fn<(words: object, message: string) => void>();
  const metrics = openMetrics({ processMetrics: false });
  const { inPlace } = installKafkaCodecs({ ...silentLog, error } as unknown as Log, metrics, library);
  const text = await metrics.registry.getSingleMetricAsString('topclients_kafka_codec_installed');
  return {
    inPlace: Object.fromEntries(inPlace),
    said: error.mock.calls.map(([{ err, codec }, message]: [{ err?: Error; codec?: string }, string]) => ({
      codec,
      message,
      why: err?.message,
    })),
    gauge: Object.fromEntries(
      [...text.matchAll(/codec="([\w-]+)"\} (\d)/g)].map(([, codec, value]) => [codec, Number(value)]),
    ),
  };
}
const all = <T>(value: T, others: Record<string, T> = {}) => ({
  ...Object.fromEntries(CODECS.map((codec) => [codec, value])),
  ...others,
});

/** kafkajs with some of its modules replaced by others. */
const withModules = (modules: Record<string, unknown>, version?: string): Library => {
  const real = loadedKafkajs();
  return { version: version ?? real.version, module: (path) => modules[path] ?? real.module(path) };
};

test('a client is refused where nobody installed the codecs', () => {
  expect(() => openKafka('spec', { brokers: ['127.0.0.1:1'] }, silentLog)).toThrow(
    'installKafkaCodecs was not called at the start of this process',
  );
});

test('with another version of kafkajs its private modules are left alone, and that is said', async () => {
  const touched = loadedKafkajs().module('kafkajs/src/protocol/requests/produce/index.js') as {
    protocol: unknown;
  };
  const before = touched.protocol;
  const { inPlace, said, gauge } = await install(withModules({}, '2.3.0'));
  const refused = ['broker-connect', 'request-queue', 'produce-request'];
  expect(inPlace).toEqual(all(true, Object.fromEntries(refused.map((codec) => [codec, false]))));
  expect(gauge).toEqual(all(1, Object.fromEntries(refused.map((codec) => [codec, 0]))));
  expect(said.map(({ codec }) => codec)).toEqual(refused);
  for (const { why } of said) expect(why).toBe('kafkajs is 2.3.0; this was written against 2.2.4');
  expect(said[2]!.message).toBe(
    "produce-request could not be put into kafkajs: kafkajs' own encoder is used: producing costs two to three times the CPU",
  );
  expect(touched.protocol).toBe(before);
});

const produce = 'kafkajs/src/protocol/requests/produce/index.js';
const real = (path: Module) =>
  loadedKafkajs().module(path) as { versions: string[]; protocol: () => unknown };

test.each<[string, string, Record<string, unknown>, RegExp]>([
  ['no versions', 'produce-request', { [produce]: {} }, /has no versions/],
  [
    'a version less',
    'produce-request',
    { [produce]: { ...real(produce), versions: ['3'] } },
    /has no version 4/,
  ],
  [
    'a version more',
    'produce-request',
    { [produce]: { ...real(produce), versions: [...real(produce).versions, '8'] } },
    /knows versions after 7/,
  ],
  [
    'another request',
    'produce-request',
    { [produce]: { ...real(produce), protocol: () => () => ({ request: { apiKey: 5 }, response: {} }) } },
    /makes something else than Produce 3/,
  ],
  [
    'no class',
    'request-queue',
    { 'kafkajs/src/network/requestQueue/index.js': class Other {} },
    /does not schedule its next look/,
  ],
  ['another broker', 'broker-connect', { 'kafkajs/src/broker/index.js': class Other {} }, /does not connect/],
])('with %s, only that codec is refused', async (_what, codec, modules, why) => {
  const { inPlace, said, gauge } = await install(withModules(modules));
  expect(inPlace).toEqual(all(true, { [codec]: false }));
  expect(gauge).toEqual(all(1, { [codec]: 0 }));
  expect(said).toEqual([expect.objectContaining({ codec, why: expect.stringMatching(why) })]);
});

test('with the version it was written against all are in place, once and again', async () => {
  for (let time = 0; time < 2; time++) {
    const { inPlace, said, gauge } = await install(loadedKafkajs());
    expect([inPlace, said, gauge]).toEqual([all(true), [], all(1)]);
  }
});

test('a batch that cannot be read is counted each time, and said once', async () => {
  const error = jest.fn();
  const metrics = openMetrics({ processMetrics: false });
  installKafkaCodecs({ ...silentLog, error } as unknown as Log, metrics);
  const batch = Buffer.alloc(61);
  batch.writeInt32BE(49, 8);
  batch.writeInt16BE(7, 21);
  for (let time = 0; time < 3; time++) {
    await expect(decodeFetchedBatch(batch, readHead(batch, 0), { topic: 't', partition: 4 })).rejects.toThrow(
      /cannot be read/,
    );
  }
  expect(error.mock.calls).toEqual([
    [expect.objectContaining({ topic: 't', partition: 4, offset: 0, codec: 'unknown' }), expect.any(String)],
  ]);
  const text = await metrics.registry.getSingleMetricAsString('topclients_kafka_undecodable_batches_total');
  expect(text).toContain('{codec="unknown"} 3');
  expect(text).toContain('{codec="lz4"} 0');
});
