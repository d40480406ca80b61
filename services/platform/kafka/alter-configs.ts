import type { Kafka } from 'kafkajs';
import { type Broker, withController } from './cluster.ts';

const API_KEY = 44;
const API_NAME = 'IncrementalAlterConfigs';
/** The first version; the next one only packs the same more tightly. */
const VERSION = 0;
const TOPIC = 2;
const [SET, DELETE] = [0, 1];

/** The broker is older than Kafka 2.3, or does not let clients alter topics. */
export class CannotPatchConfigs extends Error {
  override name = 'CannotPatchConfigs';
}

/**
 * Changes the named settings of a topic and leaves every other one. kafkajs' own `alterConfigs` replaces them all.
 * @param changes the new value of each; null takes a value away, so that the broker's default holds again
 * @throws CannotPatchConfigs when the broker does not know the request
 * @throws Error with the broker's words when it refuses; nothing is changed then
 */
export async function patchTopicConfigs(
  kafka: Kafka,
  topic: string,
  changes: Readonly<Record<string, string | null>>,
): Promise<void> {
  if (Object.keys(changes).length === 0) return;
  await withController(kafka, async (broker) => {
    expectSupport(broker, topic);
    await broker.connectionPool.send({ request: requestOf(topic, changes), response: RESPONSE });
  });
}

function expectSupport({ versions }: Broker, topic: string): void {
  const spoken = versions[API_KEY];
  if (spoken !== undefined && spoken.minVersion <= VERSION && spoken.maxVersion >= VERSION) return;
  const has =
    spoken === undefined ? 'does not' : `speaks versions ${spoken.minVersion} to ${spoken.maxVersion}`;
  throw new CannotPatchConfigs(
    `the settings of ${topic} cannot be patched: ${API_NAME} ${VERSION} is needed, which brokers have since Kafka 2.3, and this broker ${has}`,
  );
}

const requestOf = (topic: string, changes: Readonly<Record<string, string | null>>) => ({
  apiKey: API_KEY,
  apiVersion: VERSION,
  apiName: API_NAME,
  encode: async () => {
    const configs = Object.entries(changes).map(([name, value]) =>
      Buffer.concat([text(name), int8(value === null ? DELETE : SET), text(value)]),
    );
    const buffer = Buffer.concat([
      ...[int32(1), int8(TOPIC), text(topic)],
      ...[int32(configs.length), ...configs],
      int8(0), // not only validated
    ]);
    return { buf: buffer, buffer, size: () => buffer.length };
  },
});

interface AlterConfigsAnswer {
  readonly errorCode: number;
  readonly errorMessage: string | null;
  readonly topic: string | null;
}

const RESPONSE = {
  async decode(bytes: Buffer): Promise<{ readonly answers: readonly AlterConfigsAnswer[] }> {
    let at = 4; // how long the broker held the answer back
    const readText = () => {
      const length = bytes.readInt16BE(at);
      at += 2 + Math.max(0, length);
      return length < 0 ? null : bytes.toString('utf8', at - length, at);
    };
    const answers: AlterConfigsAnswer[] = [];
    const count = bytes.readInt32BE(at);
    at += 4;
    for (let left = count; left > 0; left--) {
      const errorCode = bytes.readInt16BE(at);
      at += 2;
      const errorMessage = readText();
      at += 1; // the kind of resource
      answers.push({ errorCode, errorMessage, topic: readText() });
    }
    return { answers };
  },
  async parse(decoded: { readonly answers: readonly AlterConfigsAnswer[] }) {
    for (const { errorCode, errorMessage, topic } of decoded.answers) {
      if (errorCode === 0) continue;
      const words = errorMessage ?? 'it does not say why';
      throw Object.assign(
        new Error(`Kafka refused to alter the settings of ${topic} (${errorCode}): ${words}`),
        {
          code: errorCode,
          retriable: false,
        },
      );
    }
    return decoded;
  },
};

function text(value: string | null): Buffer {
  const bytes = Buffer.from(value ?? '');
  const length = Buffer.alloc(2);
  length.writeInt16BE(value === null ? -1 : bytes.length);
  return Buffer.concat([length, bytes]);
}

const int8 = (value: number) => Buffer.from([value]);

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}
