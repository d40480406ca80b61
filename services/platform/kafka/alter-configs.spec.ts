import { expect, test } from '@jest/globals';
import { CannotPatchConfigs, patchTopicConfigs } from './alter-configs.ts';
import type { Kafka } from './client.ts';

interface Sent {
  readonly request: { encode(): Promise<{ readonly buffer: Buffer }> };
  readonly response: { decode(bytes: Buffer): Promise<object>; parse(decoded: object): Promise<object> };
}
type Versions = Record<number, { minVersion: number; maxVersion: number }>;

/** A client whose controller speaks these versions, and answers with these bytes. */
function clientOf(versions: Versions, answer = Buffer.alloc(0)) {
  const sent: Buffer[] = [];
  const broker = {
    versions,
    connectionPool: {
      async send({ request, response }: Sent) {
        sent.push((await request.encode()).buffer);
        return response.parse(await response.decode(answer));
      },
    },
  };
  const nothing = async () => {};
  const cluster = { connect: nothing, disconnect: nothing, refreshMetadata: nothing };
  const client = {
    [Symbol('private:Kafka:createCluster')]: () => ({ ...cluster, findControllerBroker: async () => broker }),
  };
  return { kafka: client as unknown as Kafka, sent };
}

test.each<[string, Versions, string]>([
  ['no such request', {}, 'does not'],
  ['only a version to come', { 44: { minVersion: 1, maxVersion: 2 } }, 'speaks versions 1 to 2'],
])('a broker with %s is named, and nothing is sent', async (_what, versions, words) => {
  const { kafka, sent } = clientOf(versions);
  const patched = patchTopicConfigs(kafka, 'words', { 'segment.ms': '1' });
  await expect(patched).rejects.toThrow(CannotPatchConfigs);
  await expect(patched).rejects.toThrow(
    `the settings of words cannot be patched: IncrementalAlterConfigs 0 is needed, which brokers have since Kafka 2.3, and this broker ${words}`,
  );
  expect(sent).toEqual([]);
});

const SPEAKS = { 44: { minVersion: 0, maxVersion: 1 } };

test('the request sets and takes away by name, byte by byte as the protocol has it', async () => {
  const { kafka, sent } = clientOf(SPEAKS, Buffer.from('0000000000000000', 'hex'));
  await patchTopicConfigs(kafka, 'ab', { x: '7', yz: null });
  expect(sent.map((bytes) => bytes.toString('hex'))).toEqual([
    ['00000001', '02', '00026162', '00000002', '000178', '00', '000137', '0002797a', '01', 'ffff', '00'].join(
      '',
    ),
  ]);
  await patchTopicConfigs(kafka, 'ab', {});
  expect(sent).toHaveLength(1);
});

test("a refusal has the broker's words", async () => {
  const words = Buffer.from('no such value');
  const answer = Buffer.concat([
    Buffer.from('0000000000000001' + '0028' + '000d', 'hex'),
    words,
    Buffer.from('02' + '00026162', 'hex'),
  ]);
  const { kafka } = clientOf(SPEAKS, answer);
  await expect(patchTopicConfigs(kafka, 'ab', { x: '7' })).rejects.toThrow(
    'Kafka refused to alter the settings of ab (40): no such value',
  );
});
