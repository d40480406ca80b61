import { writeFile } from 'node:fs/promises';
import { z } from 'zod';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { viewSchema } from '#pages/projection.ts';
import { projectionsOf } from '#pages/projections.ts';
import { VIEW_SETTINGS } from '#pages/view-settings.ts';
import { databaseUrl, integer, setting } from '#platform/config.ts';
import { databaseCaFile } from '#platform/database-tls.ts';
import { KAFKA_SETTINGS, kafkaSettings, openKafka } from '#platform/kafka/client.ts';
import { installKafkaCodecs } from '#platform/kafka/install.ts';
import { within } from '#platform/lifecycle.ts';
import { connect } from '#platform/postgres.ts';
import { leaveTerminationMessage, TERMINATION_LOG } from '#platform/termination-message.ts';
import { defineRole } from '#role/role.ts';
import { postgresSource } from '../top-clients/adapters/postgres/audit-source.ts';
import { compareView } from './compare-view.ts';
import { openKafkaTopic } from './kafka-topic.ts';
import { postgresView } from './postgres-view.ts';

export const role = defineRole({
  name: 'compare-views',
  about:
    "compares every row of a page's view with the source of truth, while both are written, and tells how many sellers differ",
  settings: {
    ...VIEW_SETTINGS,
    sourceUrl: setting(
      'TC_SOURCE_DATABASE_URL',
      'PostgreSQL address of the source of truth, its primary',
      databaseUrl(),
    ),
    sourceCaFile: databaseCaFile('TC_SOURCE_DATABASE_CA_FILE'),
    timeoutMs: setting(
      'TC_TIMEOUT_MS',
      'until it must have come to a verdict, in ms; a third of it is for the view to catch up',
      integer(1_000, 86_400_000).default(300_000),
    ),
    terminationLog: setting(
      'TC_TERMINATION_LOG',
      `file that the verdict is written to, as JSON; ${TERMINATION_LOG} where that exists`,
      z.string().optional(),
    ),
    ...KAFKA_SETTINGS,
  },
  async start(config, { log, metrics, releases, fail }) {
    installKafkaCodecs(log, metrics);
    const { page, delivery, viewVersion, timeoutMs } = config;
    const schema = viewSchema(delivery, viewVersion);
    const session = {
      applicationName: 'compare-views',
      statementTimeoutMs: 60_000,
      connectTimeoutMs: 10_000,
    };
    const ended = new AbortController();

    const sourceDb = await connect({ ...session, url: config.sourceUrl, caFile: config.sourceCaFile }, fail);
    releases.push('the database of the source', () => sourceDb.end());
    const viewDb = await connect(
      {
        ...session,
        url: config.databaseUrl,
        caFile: config.databaseCaFile,
        searchPath: [schema, 'public'],
        pipeline: true,
      },
      fail,
    );
    releases.push('the database of the page', () => viewDb.end());
    const kafka = openKafka('compare-views', kafkaSettings(config), log);
    const topic = openKafkaTopic(kafka, SELLER_EVENTS.topic, log);
    releases.push('Kafka', () => topic.close());
    releases.push('the comparison', () => ended.abort(new Error('was stopped')));

    const view = await postgresView(viewDb, projectionsOf(page)[delivery], schema);
    const verdict = await within(
      timeoutMs,
      'the comparison',
      compareView(postgresSource(sourceDb, log), view, topic, {
        catchUpMs: Math.floor(timeoutMs / 3),
        signal: ended.signal,
      }),
    );
    const words = { page, delivery, viewVersion, ...verdict };
    if (verdict.differing > 0) log.warn(words, 'the view differs from the source');
    else log.info(words, 'the view is as the source has it');
    const told = JSON.stringify(verdict);
    if (config.terminationLog === undefined) leaveTerminationMessage(told);
    else await writeFile(config.terminationLog, told);
    return 'done';
  },
});
