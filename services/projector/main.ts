import { RANGES } from '#contracts/ranges.ts';
import { consumerGroup, SELLER_EVENTS } from '#contracts/topics.ts';
import { viewSchema } from '#pages/projection.ts';
import { projectionsOf } from '#pages/projections.ts';
import { VIEW_SETTINGS } from '#pages/view-settings.ts';
import { integerIn, setting } from '#platform/config.ts';
import { serveHealth } from '#platform/health.ts';
import { KAFKA_SETTINGS, kafkaSettings, openKafka } from '#platform/kafka/client.ts';
import { installKafkaCodecs } from '#platform/kafka/install.ts';
import { openTracing, TRACING_SETTINGS } from '#platform/tracing.ts';
import { defineRole } from '#role/role.ts';
import { openKafkaBus } from './kafka-bus.ts';
import { openProjectorMetrics } from './metrics.ts';
import { Projector, STATEMENT_TIMEOUT_MS } from './projector.ts';
import { Copying } from './row-writer.ts';
import { openViewStore } from './view-store.ts';

export const role = defineRole({
  name: 'projector',
  about:
    "keeps one page's view up with the topic of seller events; any number may run, they share the partitions",
  settings: {
    ...VIEW_SETTINGS,
    sessionTimeoutMs: setting(
      'TC_SESSION_TIMEOUT_MS',
      'after this long without a sign of life others have its partitions, in ms; a partition may stand still three times as long, and 15 s at least',
      integerIn(RANGES.projector.sessionTimeoutMs),
    ),
    ...KAFKA_SETTINGS,
    ...TRACING_SETTINGS,
  },
  async start(config, { log, version, metrics, releases, fail }) {
    installKafkaCodecs(log, metrics);
    const { page, delivery, viewVersion, sessionTimeoutMs } = config;
    const tracing = await openTracing(`projector-${page}`, config, { log, version, releases });
    const groupId = consumerGroup(page, delivery, viewVersion);
    const kafka = openKafka(`projector-${page}`, kafkaSettings(config), log);
    const projection = projectionsOf(page)[delivery];
    const database = {
      url: config.databaseUrl,
      caFile: config.databaseCaFile,
      applicationName: groupId,
      statementTimeoutMs: STATEMENT_TIMEOUT_MS,
      connectTimeoutMs: 3_000,
      searchPath: [viewSchema(delivery, viewVersion), 'public'],
    };
    const copying = new Copying();
    const projector = new Projector(
      openKafkaBus(kafka, { topic: SELLER_EVENTS.topic, groupId }, log),
      {
        page,
        delivery,
        tracing,
        projection,
        sessionTimeoutMs,
        openStore: () => openViewStore(database, projection, sessionTimeoutMs, copying),
      },
      (read) => openProjectorMetrics(metrics, { page, view: `${delivery}-v${viewVersion}` }, read),
      log,
      fail,
    );
    const health = await serveHealth(config, {
      notReadyBecause: () => projector.notReadyBecause(),
      metrics,
      log,
    });
    releases.push('health', () => health.close());
    releases.push('projector', () => projector.stop());
    projector.start();
    log.info({ healthPort: health.port, page, delivery, viewVersion, groupId }, 'projects');
    return 'running';
  },
});
