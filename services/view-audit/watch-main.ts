import { z } from 'zod';
import { RANGES } from '#contracts/ranges.ts';
import { ERASED_BYTES_LEAVE_WITHIN_DAYS, SELLER_EVENTS } from '#contracts/topics.ts';
import { viewSchema } from '#pages/projection.ts';
import { projectionsOf } from '#pages/projections.ts';
import { viewsIn } from '#pages/standing-views.ts';
import { VIEW_SETTINGS } from '#pages/view-settings.ts';
import { boolean, databaseUrl, integer, integerIn, list, milliseconds, setting } from '#platform/config.ts';
import { databaseCaFile } from '#platform/database-tls.ts';
import type { DatabaseUrl } from '#platform/database-url.ts';
import { serveHealth } from '#platform/health.ts';
import { KAFKA_SETTINGS, kafkaSettings, openKafka } from '#platform/kafka/client.ts';
import { installKafkaCodecs } from '#platform/kafka/install.ts';
import { openPartitionReader } from '#platform/kafka/partition-reader.ts';
import { connect } from '#platform/postgres.ts';
import { defineRole } from '#role/role.ts';
import { postgresSource } from '../top-clients/adapters/postgres/audit-source.ts';
import { postgresErasureBook } from '../top-clients/adapters/postgres/erasure-book.ts';
import { postgresRepairs } from '../top-clients/adapters/postgres/repairs.ts';
import { postgresTopicErasures } from '../top-clients/adapters/postgres/topic-erasures.ts';
import { confirmErasures, type ErasureSession } from './confirm-erasures.ts';
import { confirmTopic, type TopicSession } from './erased-on-topic.ts';
import { openKafkaTopic } from './kafka-topic.ts';
import { type KeptView, keptView } from './kept-views.ts';
import { openWatchMetrics } from './metrics.ts';
import { postgresPageCaches } from './page-caches.ts';
import { postgresView } from './postgres-view.ts';
import { type Session, watchView } from './watch.ts';
import { lookForCanary, watchCanary } from './watch-canary.ts';

const DAY_MS = 86_400_000;

export const role = defineRole({
  name: 'watch-view',
  about:
    "compares a page's views with the source of truth all the time, has what differs sent again, confirms erasures, and times the canary; one process a page",
  settings: {
    ...VIEW_SETTINGS,
    keptViews: setting(
      'TC_KEPT_VIEWS',
      'views of the page that are kept up for a rollback, such as asynchronous-v1, comma-separated: compared and repaired as well',
      list().pipe(z.array(keptView)).optional(),
    ),
    sourceUrl: setting(
      'TC_SOURCE_DATABASE_URL',
      'PostgreSQL address of the source of truth, its primary',
      databaseUrl(),
    ),
    sourceCaFile: databaseCaFile('TC_SOURCE_DATABASE_CA_FILE'),
    sellersPerSecond: setting(
      'TC_SELLERS_PER_SECOND',
      'sellers of each view compared in a second, at most',
      integerIn(RANGES.watch.sellersPerSecond),
    ),
    pauseMs: setting(
      'TC_PAUSE_MS',
      'between two comparisons, in ms',
      milliseconds(86_400_000).default(5_000),
    ),
    catchUpMs: setting(
      'TC_CATCH_UP_MS',
      'how long a comparison waits for the view to catch up before it comes to no verdict, in ms',
      integer(100, 3_600_000).default(30_000),
    ),
    repair: setting(
      'TC_REPAIR',
      'whether what differs is sent again; false only watches',
      boolean().default(true),
    ),
    repairsPerPass: setting(
      'TC_REPAIRS_PER_PASS',
      'sellers sent again after one comparison, at most',
      integer(1, 1_000_000).default(1_000),
    ),
    repairsPerSecond: setting(
      'TC_REPAIRS_PER_SECOND',
      'sellers sent again in a second, at most',
      integer(1, 100_000).default(100),
    ),
    canaryEveryMs: setting(
      'TC_CANARY_EVERY_MS',
      'how often the view is looked at for the canary, in ms; 0 does not',
      milliseconds().default(100),
    ),
    readTopicAfterMs: setting(
      'TC_READ_TOPIC_AFTER_MS',
      'how long after the tombstone of an erased seller the topic is read, to see whether compaction has removed the rest, in ms',
      milliseconds(30 * DAY_MS).default(ERASED_BYTES_LEAVE_WITHIN_DAYS * DAY_MS),
    ),
    readTopicEveryMs: setting(
      'TC_READ_TOPIC_EVERY_MS',
      'between two such readings of the whole topic while there is something to look for, in ms',
      integer(1_000, 30 * DAY_MS).default(DAY_MS / 4),
    ),
    ...KAFKA_SETTINGS,
  },
  async start(config, { log, metrics, releases }) {
    installKafkaCodecs(log, metrics);
    const { page, delivery, viewVersion } = config;
    const observer = openWatchMetrics(metrics, page);
    const connection = {
      applicationName: `watch-view-${page}`,
      statementTimeoutMs: 20_000,
      connectTimeoutMs: 5_000,
    };
    // A lost session fails at its next query; without this listener its error would end the process.
    const onLost = () => {};
    const openView = (schema: string) =>
      connect(
        {
          ...connection,
          url: config.databaseUrl,
          caFile: config.databaseCaFile,
          searchPath: [schema, 'public'],
          pipeline: true,
        },
        onLost,
      );
    const kafka = openKafka('watch-view', kafkaSettings(config), log);
    const open = async (view: KeptView): Promise<Session> => {
      const schema = viewSchema(view.delivery, view.version);
      const opened: (() => Promise<unknown>)[] = [];
      const close = async () => {
        await Promise.allSettled(opened.map((one) => one()));
      };
      try {
        const sourceDb = await connect(
          { ...connection, url: config.sourceUrl, caFile: config.sourceCaFile },
          onLost,
        );
        opened.push(() => sourceDb.end());
        const viewDb = await openView(schema);
        opened.push(() => viewDb.end());
        const topic = openKafkaTopic(kafka, SELLER_EVENTS.topic, log);
        opened.push(() => topic.close());
        return {
          source: postgresSource(sourceDb, log),
          view: await postgresView(viewDb, projectionsOf(page)[view.delivery], schema),
          topic,
          repairs: postgresRepairs(sourceDb),
          close,
        };
      } catch (err) {
        void close();
        throw err;
      }
    };
    const shown: KeptView = { delivery, version: viewVersion };
    const openCanary = async () => {
      const db = await openView(viewSchema(delivery, viewVersion));
      return { look: () => lookForCanary(db), close: () => db.end() };
    };

    const openErasures = async (): Promise<ErasureSession> => {
      const opened: (() => Promise<unknown>)[] = [];
      const close = async () => {
        await Promise.allSettled(opened.map((one) => one()));
      };
      const session = async (url: DatabaseUrl, caFile: string | undefined) => {
        const db = await connect({ ...connection, url, caFile }, onLost);
        opened.push(() => db.end());
        return db;
      };
      try {
        const sourceDb = await session(config.sourceUrl, config.sourceCaFile);
        const pageDb = await session(config.databaseUrl, config.databaseCaFile);
        const topic = openKafkaTopic(kafka, SELLER_EVENTS.topic, log);
        opened.push(() => topic.close());
        return {
          book: postgresErasureBook(sourceDb),
          source: postgresSource(sourceDb, log),
          topic,
          views: () => viewsIn(pageDb),
          async openView(view) {
            const schema = viewSchema(view.delivery, view.version);
            const db = await openView(schema);
            const end = () => db.end();
            try {
              return {
                view: await postgresView(db, projectionsOf(page)[view.delivery], schema),
                memory: postgresPageCaches(db),
                close: end,
              };
            } catch (err) {
              void end();
              throw err;
            }
          },
          close,
        };
      } catch (err) {
        void close();
        throw err;
      }
    };
    const openTopicErasures = async (): Promise<TopicSession> => {
      const db = await connect({ ...connection, url: config.sourceUrl, caFile: config.sourceCaFile }, onLost);
      const reader = openPartitionReader(kafka, SELLER_EVENTS.topic, log);
      const close = async () => {
        await Promise.allSettled([db.end(), reader.close()]);
      };
      return { ...postgresTopicErasures(db), reader, close };
    };

    // Dependencies may be down for any time: the metrics show that, and a restart would not help.
    const health = await serveHealth(config, {
      notReadyBecause: () => null,
      metrics,
      log,
    });
    releases.push('the health port', () => health.close());
    const stopping = new AbortController();
    const watching = Promise.all([
      watchView(() => open(shown), config, observer, log, stopping.signal),
      // So that a kept view is already equal to the source when it is wanted again.
      ...(config.keptViews ?? []).map((view) =>
        watchView(
          () => open(view),
          config,
          observer.ofKept(`${view.delivery}-v${view.version}`),
          log.child({ keptView: view }),
          stopping.signal,
        ),
      ),
      confirmErasures(page, openErasures, log, stopping.signal),
      confirmTopic(openTopicErasures, config, log, stopping.signal),
      config.canaryEveryMs > 0
        ? watchCanary(openCanary, config.canaryEveryMs, observer, log, stopping.signal)
        : null,
    ]);
    releases.push('the watch', () => {
      stopping.abort(new Error('was stopped'));
      return watching;
    });
    log.info({ healthPort: health.port, page, delivery, viewVersion, repair: config.repair }, 'watches');
    return 'running';
  },
});
