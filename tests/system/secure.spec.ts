/** The whole data path where nothing goes in the clear: a private authority for PostgreSQL and Kafka, SASL_SSL with SCRAM. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { readConfig } from '#platform/config.ts';
import { KAFKA_SETTINGS, kafkaSettings, openKafka } from '#platform/kafka/client.ts';
import { countPartitions } from '#platform/kafka/topics.ts';
import { silentLog } from '#platform/log.ts';
import { type Pipeline, startPipeline } from '../../services/local-stack/pipeline.ts';
import { until } from '../../services/local-stack/until.ts';
import { type Authority, makeAuthority } from '../support/authority.ts';
import { openWriter, type Writer } from '../support/writer.ts';

const PASSWORD = 'correct-horse';

let ours: Authority;
let others: Authority;
let pipeline: Pipeline;
let writer: Writer;

beforeAll(async () => {
  [ours, others] = await Promise.all([makeAuthority('ours'), makeAuthority('others')]);
  pipeline = await startPipeline({
    partitions: 2,
    // Not for the address 127.0.0.1.
    postgres: { tls: await ours.sign('DNS:localhost') },
    kafka: {
      secure: { ...(await ours.sign('DNS:localhost')), host: 'localhost', users: { roles: PASSWORD } },
    },
  });
  writer = openWriter(pipeline.postgres.url('source'));
}, 120_000);

afterAll(async () => {
  await writer?.close();
  await pipeline?.stop();
  await Promise.all([ours?.close(), others?.close()]);
}, 60_000);

/** What a pod is given. */
const kafkaEnv = () => ({
  TC_KAFKA_BROKERS: pipeline.kafka.secureBootstrap!,
  TC_KAFKA_CA_FILE: ours.caFile,
  TC_KAFKA_SASL_MECHANISM: 'scram-sha-512',
  TC_KAFKA_SASL_USERNAME: 'roles',
  TC_KAFKA_SASL_PASSWORD: PASSWORD,
});
const address = (database: string) =>
  `postgresql://postgres@localhost:${pipeline.postgres.port}/${database}?sslmode=verify-full`;
const databaseEnv = (database: string) => ({
  TC_DATABASE_URL: address(database),
  TC_DATABASE_CA_FILE: ours.caFile,
});
const gig = () => ({ ...kafkaEnv(), ...databaseEnv('gig'), TC_PAGE: 'gig' });
const source = () => ({ TC_SOURCE_DATABASE_URL: address('source'), TC_SOURCE_DATABASE_CA_FILE: ours.caFile });

describe('a client of Kafka', () => {
  /** Why it cannot ask the brokers anything. */
  async function refusal(env: Partial<ReturnType<typeof kafkaEnv>>): Promise<string> {
    const config = readConfig('role', KAFKA_SETTINGS, [], { ...kafkaEnv(), ...env });
    const settings = { ...kafkaSettings(config), retries: 0 };
    return countPartitions(openKafka('test', settings, silentLog), SELLER_EVENTS.topic).then(
      (count) => `there are ${count} partitions`,
      (err: Error) => err.message,
    );
  }

  test('that trusts the authority and knows the password is let in', async () => {
    expect(await refusal({})).toBe('there are 2 partitions');
  });

  test('that trusts another authority is told what to put where', async () => {
    expect(await refusal({ TC_KAFKA_CA_FILE: others.caFile })).toContain(
      `the certificate of the Kafka broker at ${pipeline.kafka.secureBootstrap} is not signed by an authority in ${others.caFile} (UNABLE_TO_VERIFY_LEAF_SIGNATURE); put the authority that signed it into that file`,
    );
  });

  test('that comes by a name the certificate has not is told which it has', async () => {
    const brokers = pipeline.kafka.secureBootstrap!.replace('localhost', '127.0.0.1');
    expect(await refusal({ TC_KAFKA_BROKERS: brokers })).toContain(
      `the certificate of the Kafka broker at ${brokers} is for DNS:localhost, not for 127.0.0.1; connect by a name that it has`,
    );
  });

  test('that has another password is refused, and says by which mechanism', async () => {
    expect(await refusal({ TC_KAFKA_SASL_PASSWORD: 'wrong' })).toContain(
      'invalid credentials with SASL mechanism SCRAM-SHA-512',
    );
  });
});

test('every role that speaks with them does its work', async () => {
  const env = kafkaEnv();
  const jobs = (role: string, settings: Readonly<Record<string, string>>) => pipeline.runRole(role, settings);
  await jobs('migrate', { ...env, TC_TARGET: 'topics', TC_PARTITIONS: '2' });
  await jobs('migrate', { ...databaseEnv('source'), TC_TARGET: 'source' });
  const version = await writer.add(1, 'Acme');
  await pipeline.relay('relay', { env: { ...env, ...databaseEnv('source') } });
  // The other view of the page is dropped below.
  const hybrid = { ...gig(), TC_DELIVERY: 'hybrid' };
  await jobs('migrate', { ...databaseEnv('gig'), TC_TARGET: 'gig', TC_DELIVERY: 'hybrid' });
  await pipeline.projector('projector', { env: gig() });
  const watcher = await pipeline.startRole('watch-view', 'watch-view', { env: { ...gig(), ...source() } });
  await until('the view has the change', async () => {
    const { rows } = await pipeline.view.query<{ version: number }>(
      'select version from top_clients where seller_id = 1',
    );
    return rows[0]?.version === version;
  });
  await until(
    'the view was compared',
    async () => (await watcher.metric('topclients_consistency_comparison_duration_seconds_count')) > 0,
  );
  expect(await watcher.metric('topclients_consistency_divergent_sellers')).toBe(0);
  await until('receipts of erasures wait for the view', async () => {
    const { rows } = await pipeline.source.query('select from erasure_reporter');
    return rows.length > 0;
  });
  expect(await jobs('compare-views', { ...gig(), ...source() })).toContain(
    'the view is as the source has it',
  );
  await jobs('republish', {
    ...env,
    ...databaseEnv('source'),
    TC_REASON: 'growth',
    TC_PARTITIONS: '3',
    TC_SETTLE_MS: '0',
  });
  expect(
    await countPartitions(
      openKafka('test', { brokers: [pipeline.kafka.bootstrap] }, silentLog),
      SELLER_EVENTS.topic,
    ),
  ).toBe(3);
  expect(await jobs('drop-view', hybrid)).toContain('dropped');
  // Nobody came in the clear but this test.
  const { rows: inTheClear } = await pipeline.source.query<{ application_name: string }>(
    `select application_name from pg_stat_ssl join pg_stat_activity using (pid)
    where not ssl and usename is not null and application_name not in ('local-stack', 'writer') and backend_type = 'client backend'`,
  );
  expect(inTheClear).toEqual([]);
}, 90_000);
