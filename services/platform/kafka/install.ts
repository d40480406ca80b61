import type { Counter, Gauge } from 'prom-client';
import type { Log } from '../log.ts';
import { type BatchHead, decodeBatch, type OpenedBatch, UndecodableBatch } from './batch-decoder.ts';
import { connectWholly } from './broker-connect.ts';
import { COMPRESSION, type Codec, type Compression, OPEN_CODEC } from './compression.ts';
import { type Library, loadedKafkajs } from './kafkajs.ts';
import { replaceProduceEncoder } from './produce-request.ts';
import { restRequestQueues } from './request-queue.ts';

/** The version whose private modules ours were written against; property tests compare the two. */
const WRITTEN_AGAINST = '2.2.4';

/** What replaces kafkajs' private modules, and what it means when one cannot be replaced. */
const REPLACEMENTS = {
  'produce-request': "kafkajs' own encoder is used: producing costs two to three times the CPU",
  'broker-connect':
    'a broker that is slow to say its versions once is not connected to again, and a silent one keeps others from being asked',
  'request-queue': 'every connection wakes up each millisecond, as kafkajs has it',
} as const;
export type KafkaCodec = keyof typeof REPLACEMENTS | Compression;

export interface InstalledCodecs {
  /** Of each codec and replacement, whether it is in place. */
  readonly inPlace: ReadonlyMap<KafkaCodec, boolean>;
  /** How often ours were used in this process. */
  readonly used: { readonly produceRequests: number; readonly batches: number };
}

/** What is measured here, by the names under which a catalogue has it. */
export interface KafkaMetrics {
  counter(name: 'topclients_kafka_undecodable_batches_total'): Counter<'codec'>;
  gauge(name: 'topclients_kafka_codec_installed'): Gauge<'codec'>;
}

const used = { produceRequests: 0, batches: 0 };
let wasCalled = false;
let codecsInPlace: Readonly<Partial<Record<Compression, Codec>>> = {};
/** Told of batches that cannot be read; the newest call of `installKafkaCodecs` sets it. */
let tell: (batch: UndecodableBatch) => void = () => {};

/**
 * Puts our encoder of produce requests and all codecs of compression into kafkajs. To be called once at the start of a
 * process that speaks to Kafka, before {@link openKafka}; nothing happens on import. A second call only changes log and
 * metrics.
 *
 * What cannot be put in place is left out alone: kafkajs is of another version, its modules look different, or a
 * library is missing. An error is then logged that says what it means, `topclients_kafka_codec_installed` is 0, and
 * kafkajs' own code does the work.
 * @param metrics absent where nobody scrapes the process
 * @param library for specs
 */
export function installKafkaCodecs(
  log: Log,
  metrics?: KafkaMetrics,
  library: Library = loadedKafkajs(),
): InstalledCodecs {
  const inPlace = new Map<KafkaCodec, boolean>();
  const gauge = metrics?.gauge('topclients_kafka_codec_installed');
  const attempt = <T>(codec: KafkaCodec, meaning: string, work: () => T): T | undefined => {
    let done: { readonly result: T } | undefined;
    try {
      done = { result: work() };
    } catch (err) {
      log.error(
        { err, codec, kafkajs: library.version, writtenAgainst: WRITTEN_AGAINST },
        `${codec} could not be put into kafkajs: ${meaning}`,
      );
    }
    inPlace.set(codec, done !== undefined);
    gauge?.set({ codec }, done === undefined ? 0 : 1);
    return done?.result;
  };

  const codecs: Partial<Record<Compression, Codec>> = {};
  for (const [number, name] of Object.entries(COMPRESSION)) {
    const meaning = `batches compressed with ${name} cannot be read, and stop their partition`;
    const codec = attempt(name, meaning, () => {
      const opened = OPEN_CODEC[name]();
      register(library, Number(number), opened);
      return opened;
    });
    if (codec !== undefined) codecs[name] = codec;
  }
  const replace = (codec: keyof typeof REPLACEMENTS, work: () => void) =>
    attempt(codec, REPLACEMENTS[codec], () => {
      if (library.version !== WRITTEN_AGAINST) {
        throw new Error(`kafkajs is ${library.version}; this was written against ${WRITTEN_AGAINST}`);
      }
      work();
    });
  replace('broker-connect', () => connectWholly(library));
  replace('request-queue', () => restRequestQueues(library));
  replace('produce-request', () => {
    replaceProduceEncoder(library, () => {
      used.produceRequests += 1;
    });
  });

  codecsInPlace = codecs;
  tell = tellOf(log, metrics);
  wasCalled = true;
  return { inPlace, used };
}

/**
 * The records of one whole batch by the codecs of this process. A batch that cannot be read is counted and logged.
 * @throws UndecodableBatch
 */
export async function decodeFetchedBatch(
  batch: Buffer,
  head: BatchHead,
  where: { readonly topic: string; readonly partition: number },
): Promise<OpenedBatch> {
  expectInstalled();
  try {
    const opened = await decodeBatch(batch, head, where, codecsInPlace);
    used.batches += 1;
    return opened;
  } catch (err) {
    if (err instanceof UndecodableBatch) tell(err);
    throw err;
  }
}

/** @throws Error when {@link installKafkaCodecs} was not called: otherwise only the CPU would show it */
export function expectInstalled(): void {
  if (!wasCalled) throw new Error('installKafkaCodecs was not called at the start of this process');
}

/** Gives kafkajs a codec, for producers that compress and for its own consumers. */
function register(library: Library, number: number, codec: Codec): void {
  const { CompressionCodecs } = library.module('kafkajs') as {
    CompressionCodecs: Record<number, () => object>;
  };
  const forKafkajs = {
    compress: (encoder: { readonly buffer: Buffer }) => codec.compress(encoder.buffer),
    decompress: (bytes: Buffer) => codec.decompress(bytes),
  };
  CompressionCodecs[number] = () => forKafkajs;
}

const SAY_AGAIN_MS = 60_000;

/** A batch that cannot be read is met at every fetch: it is counted each time, and logged once a minute. */
function tellOf(log: Log, metrics: KafkaMetrics | undefined): (batch: UndecodableBatch) => void {
  const counter = metrics?.counter('topclients_kafka_undecodable_batches_total');
  for (const codec of ['none', ...Object.values(COMPRESSION), 'unknown']) counter?.inc({ codec }, 0);
  const said = new Map<string, { readonly offset: number; readonly at: number }>();
  return (batch) => {
    const { topic, partition, offset, lastOffset, codec } = batch;
    counter?.inc({ codec });
    const before = said.get(`${topic}/${partition}`);
    const now = performance.now();
    if (before?.offset === offset && now - before.at < SAY_AGAIN_MS) return;
    said.set(`${topic}/${partition}`, { offset, at: now });
    log.error(
      { err: batch, topic, partition, offset, lastOffset, codec },
      'a batch on the topic cannot be read; its partition stands still until it is gone, or a version runs that can read it',
    );
  };
}
