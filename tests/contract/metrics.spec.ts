/** Every metric of the catalogue comes from the role that owns it and from no other, and starts with its series. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { METRICS, type MetricName } from '#contracts/metrics.ts';
import { openMetrics } from '#role/metrics.ts';
import { until } from '../../services/local-stack/until.ts';
import { openOperatorMetrics } from '../../services/operator/metrics.ts';
import { openWatchMetrics } from '../../services/view-audit/metrics.ts';
import { type IsolatedRoles, openIsolatedRoles, SELF_VIEW } from '../support/isolated-roles.ts';

type Owner = (typeof METRICS)[MetricName]['owner'];
let roles: IsolatedRoles;
/** What a scrape of each role says before anything has happened. */
const scraped = new Map<Owner, string>();

/** Those two need a cluster, and two databases: what they open their metrics with is enough. */
const opened = async (open: (metrics: ReturnType<typeof openMetrics>) => unknown): Promise<string> => {
  const metrics = openMetrics({ processMetrics: false });
  open(metrics);
  return metrics.registry.metrics();
};

beforeAll(async () => {
  roles = await openIsolatedRoles();
  const [source, relay, projector, gig, selfView] = await Promise.all([
    roles.start('top-clients'),
    roles.start('outbox-relay'),
    roles.start('projector'),
    roles.start('page-server'),
    roles.start('page-server', SELF_VIEW),
  ]);
  // The health port of a page opens before the page itself.
  await until('the pages serve', async () =>
    [await gig.log(), await selfView.log()].every((log) => log.includes('"serving"')),
  );
  scraped.set('top-clients', await source.metrics());
  scraped.set('outbox-relay', await relay.metrics());
  scraped.set('projector', await projector.metrics());
  scraped.set('page-server', (await gig.metrics()) + (await selfView.metrics()));
  scraped.set('operator', await opened((metrics) => openOperatorMetrics(metrics, ['PageView'])));
  scraped.set('consistency', await opened((metrics) => openWatchMetrics(metrics, 'gig')));
}, 60_000);
afterAll(() => roles?.stop());

const EVERYWHERE = (Object.keys(METRICS) as MetricName[]).filter(
  (name) => METRICS[name].owner === 'every role',
);
/** Of the roles that were scraped. */
const WITH_KAFKA: readonly Owner[] = ['outbox-relay', 'projector'];
const OF_KAFKA = (Object.keys(METRICS) as MetricName[]).filter(
  (name) => METRICS[name].owner === 'roles with Kafka',
);
/** The same of tokens; of the page servers, the self-view. */
const WITH_TOKENS: readonly Owner[] = ['top-clients', 'page-server'];
const OF_TOKENS = (Object.keys(METRICS) as MetricName[]).filter(
  (name) => METRICS[name].owner === 'roles that take tokens',
);
const OWNERS = [...new Set(Object.values(METRICS).map(({ owner }) => owner))].filter(
  // That pages of others have theirs is held by page-kit.spec.ts.
  (owner) => owner !== 'every role' && owner !== 'pages of others' && !owner.startsWith('roles '),
);

test.each(OWNERS)('%s has all that it owns, and nothing of others', (owner) => {
  const owned = (Object.keys(METRICS) as MetricName[]).filter((name) => METRICS[name].owner === owner);
  const found = [...scraped.get(owner)!.matchAll(/^# TYPE (topclients_\w+) /gm)].map(([, name]) => name!);
  // Without a process there is nobody whose version it could be.
  const isProcess = owner !== 'operator' && owner !== 'consistency';
  const shared = [
    ...(isProcess ? EVERYWHERE : []),
    ...(WITH_KAFKA.includes(owner) ? OF_KAFKA : []),
    ...(WITH_TOKENS.includes(owner) ? OF_TOKENS : []),
  ];
  expect([...new Set(found)].sort()).toEqual([...owned, ...shared].sort());
});

test.each(['top-clients', 'outbox-relay', 'projector', 'page-server'] as const)(
  '%s says which version it is',
  (role) => {
    expect(scraped.get(role)).toMatch(
      new RegExp(`^topclients_build_info\\{role="${role}",version="\\d+\\.\\d+\\.\\d+.*"\\} 1$`, 'm'),
    );
  },
);

// An alert on an increase needs the series before its first event, or that event is not seen.
test.each<[Owner, readonly string[]]>([
  [
    'top-clients',
    [
      'topclients_rate_limited_total{limit="seller"} 0',
      'topclients_source_senders_total{sender="gig"} 0',
      'topclients_source_senders_total{sender="stranger"} 0',
      'topclients_identity_keys_fetched_timestamp_seconds 0',
      'topclients_identity_key_fetches_total{result="ok"} 0',
      ...['valid', 'invalid', 'expired', 'unavailable'].map(
        (result) => `topclients_identity_tokens_total{result="${result}"} 0`,
      ),
    ],
  ],
  [
    'outbox-relay',
    [
      'topclients_relay_leader{shard="0"} 0',
      'topclients_relay_sent_total{shard="0"} 0',
      'topclients_relay_batch_size_count 0',
      ...['ack_and_fetch', 'send'].map((step) => `topclients_relay_errors_total{step="${step}"} 0`),
    ],
  ],
  [
    'projector',
    [
      ...['applied', 'duplicate', 'stale', 'tombstone', 'unversioned', 'moved', 'parked'].map(
        (result) => `topclients_projector_events_total{page="gig",result="${result}"} 0`,
      ),
      ...['applied', 'superseded', 'remains'].map(
        (result) => `topclients_projector_redriven_total{page="gig",result="${result}"} 0`,
      ),
      'topclients_projector_notification_outages_total{page="gig"} 0',
      'topclients_projector_parked_sellers{page="gig"} 0',
      'topclients_projector_rebalances_total{page="gig"} 0',
      'topclients_projector_stalled_total{page="gig"} 0',
      'topclients_projector_topic_partitions{page="gig",view="asynchronous-v1"} 0',
      ...['positioning', 'running', 'releasing'].map(
        (state) => `topclients_projector_partitions{page="gig",view="asynchronous-v1",state="${state}"} 0`,
      ),
      'topclients_projector_delay_seconds_count{page="gig"} 0',
    ],
  ],
  [
    'page-server',
    [
      ...['full', 'missing', 'stale', 'error'].map(
        (outcome) =>
          `topclients_page_renders_total{page="gig",delivery="asynchronous",outcome="${outcome}"} 0`,
      ),
      ...['full', 'missing', 'error'].map(
        (outcome) =>
          `topclients_page_renders_total{page="self-view",delivery="synchronous",outcome="${outcome}"} 0`,
      ),
      ...['ok', 'error', 'timeout', 'rejected', 'open'].map(
        (result) => `topclients_page_source_requests_total{page="gig",result="${result}"} 0`,
      ),
      ...['ok', 'error', 'timeout', 'rejected', 'open'].map(
        (result) => `topclients_page_source_requests_total{page="self-view",result="${result}"} 0`,
      ),
      'topclients_page_breaker_open{page="self-view"} 0',
      ...['beyond', 'limited'].map(
        (result) => `topclients_page_min_version_refused_total{page="gig",result="${result}"} 0`,
      ),
      'topclients_page_breaker_open{page="gig"} 0',
      ...['primary', 'replica'].map(
        (server) => `topclients_page_database_reads_total{page="gig",server="${server}"} 0`,
      ),
      'topclients_page_replica_current_timestamp_seconds{page="gig"} 0',
      'topclients_self_view_violations_total 0',
      'topclients_identity_keys_fetched_timestamp_seconds 0',
      'topclients_identity_tokens_total{result="unavailable"} 0',
      'topclients_page_render_duration_seconds_count{page="gig",delivery="asynchronous"} 0',
      'topclients_page_view_version{page="gig",delivery="asynchronous"} 1',
      'topclients_page_view_version{page="self-view",delivery="synchronous"} 0',
    ],
  ],
])('%s has the series that alerts look at before anything happens', (owner, series) => {
  const lines = scraped.get(owner)!.split('\n');
  expect(series.filter((one) => !lines.includes(one))).toEqual([]);
});
