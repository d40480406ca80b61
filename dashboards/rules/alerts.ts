import {
  BUDGET_WINDOW,
  BURNS,
  type Burn,
  badAt,
  FRESH_SECONDS,
  LIMITS,
  type ObjectiveName,
} from '../objectives.ts';
import {
  absent,
  calc,
  combine,
  type ForeignName,
  increase,
  max,
  maxOverTime,
  min,
  minOverTime,
  type Series,
  since,
  sum,
  type Vector,
} from '../promql.ts';
import { pagesWithoutView, pagesWithView } from './recording.ts';

export interface AlertRule {
  readonly alert: AlertName;
  readonly expr: string;
  readonly for?: string;
  readonly labels: Readonly<Record<string, string>> & { readonly severity: 'critical' | 'warning' };
  readonly annotations: {
    readonly summary: string;
    readonly description: string;
    readonly runbook_url: string;
  };
}

/** Each has a runbook of its name in docs/runbooks, and tests of its name in dashboards/rules/tests. */
export const ALERTS = [
  'TopClientsPageFails',
  'TopClientsPageIncomplete',
  'TopClientsPageNotFresh',
  'TopClientsSelfViewStale',
  'TopClientsKeysNotFetched',
  'TopClientsCanaryLate',
  'TopClientsRelayStuck',
  'TopClientsRelayHasNoLeader',
  'TopClientsSellersHeld',
  'TopClientsBatchUnreadable',
  'TopClientsPartitionDoesNotMove',
  'TopClientsRepublishStalled',
  'TopClientsSellersParked',
  'TopClientsErasureLate',
  'TopClientsViewDiverges',
  'TopClientsViewNotCompared',
  'TopClientsChangesNotForgotten',
  'TopClientsNotifyQueueFills',
  'TopClientsPageUnknownToSource',
  'TopClientsOperatorHasNoLeader',
  'TopClientsKafkaCodecMissing',
  'TopClientsServerCrowded',
  'TopClientsKafkaShortOfCopies',
  'TopClientsStandbyBehind',
  'TopClientsBackupFails',
  'TopClientsTargetDown',
] as const;
export type AlertName = (typeof ALERTS)[number];

/** When something of a backup was done or failed last. */
type BackupInstant =
  `${'cnpg_pg_stat_archiver' | 'cnpg_collector' | 'barman_cloud_cloudnative_pg_io'}_last_${string}` &
    ForeignName;

const OF_OBJECTIVE = {
  renders: {
    alert: 'TopClientsPageFails',
    summary: 'The {{ $labels.page }} page answers too many requests with an error',
    bad: 'of its renders ({{ $labels.delivery }}) were error pages',
  },
  completeness: {
    alert: 'TopClientsPageIncomplete',
    summary: 'The {{ $labels.page }} page shows too many sellers without their clients, or with old ones',
    bad: 'of its renders ({{ $labels.delivery }}) lacked top clients or showed a version known to be old',
  },
  freshness: {
    alert: 'TopClientsPageNotFresh',
    summary: 'Changes reach the {{ $labels.page }} page too late',
    bad: `of the changes were not in its database within ${FRESH_SECONDS} s`,
  },
} as const satisfies Record<ObjectiveName, { alert: AlertName; summary: string; bad: string }>;

/** How long both windows must agree. The slow burn is not urgent. */
const STEADY: Record<Burn['severity'], string> = { critical: '2m', warning: '1h' };

/**
 * @param series narrowed to the watched installation
 * @param runbooks address or path of the folder of runbooks, without a slash at its end
 * @param jobs regular expression of the names of the jobs that scrape us
 */
export function alertRules(
  series: Series,
  { runbooks, jobs }: { readonly runbooks: string; readonly jobs: string },
): readonly AlertRule[] {
  const alert = (
    name: AlertName,
    severity: 'critical' | 'warning',
    when: Vector<string>,
    steady: string | null,
    summary: string,
    description: string,
    labels: Readonly<Record<string, string>> = {},
  ): AlertRule => ({
    alert: name,
    expr: when.text,
    ...(steady === null ? {} : { for: steady }),
    labels: { severity, ...labels },
    annotations: { summary, description, runbook_url: `${runbooks}/${name}.md` },
  });

  const burning = (objective: ObjectiveName): AlertRule[] =>
    BURNS.map(({ rate, long, short, severity }) => {
      const { alert: name, summary, bad } = OF_OBJECTIVE[objective];
      const limit = badAt(objective, rate);
      const over = (window: typeof long) =>
        calc(series(`topclients:objective_bad:ratio_${window}`, { objective }), '>', limit);
      return alert(
        name,
        severity,
        combine(over(long), 'and', over(short)),
        STEADY[severity],
        summary,
        `{{ $value | humanizePercentage }} ${bad} in the last ${long}; over ${BUDGET_WINDOW} the objective allows ${percent(badAt(objective))}. This spends its budget at least ${rate === 1 ? 'as fast as' : `${rate} times faster than`} it may last.`,
        { window: long },
      );
    });

  /** Clusters of which the last try failed: how many seconds after the last that did not. */
  const failedAfter = (failed: BackupInstant, done: BackupInstant) =>
    calc(
      calc(
        max(series(failed), 'namespace', 'cnpg_io_cluster'),
        '-',
        max(series(done), 'namespace', 'cnpg_io_cluster'),
      ),
      '>',
      0,
    );
  const newest = max(series('topclients_canary_seen_timestamp_seconds'), 'namespace', 'page');
  const compared = max(series('topclients_consistency_compared_timestamp_seconds'), 'namespace', 'page');
  /** Pages whose servers show a view, and whose reading existed within the last day but is missing now; 0 each. */
  const lost = (reading: Vector<'namespace' | 'page'>, day: Vector<'namespace' | 'page'>) =>
    calc(combine(combine(pagesWithView(series), 'and', day), 'unless', reading), '*', 0);
  const late = (reading: Vector<'namespace' | 'page'>, day: Vector<'namespace' | 'page'>, limit: number) =>
    combine(
      combine(
        combine(calc(since(calc(reading, '>', 0)), '>', limit), 'or', calc(reading, '==', 0)),
        'unless',
        // There only kept views are watched, and nobody sees them.
        pagesWithoutView(series),
      ),
      'or',
      lost(reading, day),
    );

  const keysFetched = min(series('topclients_identity_keys_fetched_timestamp_seconds'), 'namespace');
  const relayLeads = series('topclients_relay_leader');
  const operatorLeads = series('topclients_operator_leader');
  const targets = series('up', { job: { re: jobs } });

  return [
    ...burning('renders'),
    ...burning('completeness'),
    ...burning('freshness'),
    alert(
      'TopClientsSelfViewStale',
      'critical',
      calc(sum(increase(series('topclients_self_view_violations_total'), '15m'), 'namespace'), '>', 0),
      null,
      "The source of truth answered with a seller's list as it was before an acknowledged change",
      'About {{ $value | humanize }} reads of the self-view in the last 15 minutes were older than a write acknowledged before them. None is allowed.',
    ),
    alert(
      'TopClientsKeysNotFetched',
      'critical',
      combine(
        calc(since(calc(keysFetched, '>', 0)), '>', LIMITS.keysNotFetched),
        'or',
        calc(keysFetched, '==', 0),
      ),
      '5m',
      'The keys that tokens are judged by cannot be fetched from the identity provider',
      'Some process {{ if gt $value 0.0 }}fetched them last {{ $value | humanizeDuration }} ago. It trusts them for auth.keys.maxAgeSeconds, an hour unless set otherwise; then it lets no seller in{{ else }}has never fetched them since it started and lets no seller in{{ end }}. Buyers see nothing of it.',
    ),
    alert(
      'TopClientsCanaryLate',
      'critical',
      late(
        newest,
        max(maxOverTime(series('topclients_canary_seen_timestamp_seconds'), '1d'), 'namespace', 'page'),
        LIMITS.canaryLate,
      ),
      '2m',
      'Changes do not arrive on the {{ $labels.page }} page',
      `A seller's change is made once a second to be looked for in the page's database. {{ if gt $value 0.0 }}The newest one there was made {{ $value | humanizeDuration }} ago; ${LIMITS.canaryLate} s are the limit.{{ else }}None has been found there since the search began, or nobody searches.{{ end }}`,
    ),
    alert(
      'TopClientsRelayStuck',
      'critical',
      calc(
        since(
          calc(
            min(series('topclients_outbox_oldest_pending_timestamp_seconds'), 'namespace', 'shard'),
            '>',
            0,
          ),
        ),
        '>',
        LIMITS.relayStuck,
      ),
      '2m',
      'Committed changes of shard {{ $labels.shard }} are not sent to Kafka',
      `The oldest of them has waited in the outbox for {{ $value | humanizeDuration }}; ${LIMITS.relayStuck} s are the limit. Nothing is lost, and every page falls behind.`,
    ),
    alert(
      'TopClientsRelayHasNoLeader',
      'critical',
      combine(
        calc(max(relayLeads, 'namespace', 'shard'), '<', 1),
        'or',
        calc(
          combine(
            max(maxOverTime(series('topclients_relay_leader'), '1d'), 'namespace'),
            'unless',
            max(relayLeads, 'namespace'),
          ),
          '*',
          0,
        ),
      ),
      '1m',
      'No relay sends the changes of {{ with $labels.shard }}shard {{ . }}{{ else }}any shard{{ end }}',
      '{{ $value }} relays lead {{ with $labels.shard }}the shard{{ else }}at all, and none is seen{{ end }}; one should. Changes are kept in the outbox, and every page falls behind.',
    ),
    alert(
      'TopClientsServerCrowded',
      'warning',
      calc(
        calc(
          sum(
            increase(series('topclients_http_requests_refused_total', { why: 'unavailable' }), '10m'),
            'namespace',
            'port',
          ),
          '+',
          sum(
            increase(series('topclients_http_connections_ended_total', { why: 'refused' }), '10m'),
            'namespace',
            'port',
          ),
        ),
        '>',
        0,
      ),
      '5m',
      'A server turns clients away, because others hold all of it',
      'About {{ $value | humanize }} requests and connections were refused on {{ $labels.port }} ports in the last 10 minutes, whoever they came from.',
    ),
    alert(
      'TopClientsSellersHeld',
      'warning',
      calc(max(series('topclients_relay_held_sellers'), 'namespace', 'shard'), '>', 0),
      '2m',
      'Changes of some sellers are refused by Kafka, in shard {{ $labels.shard }}',
      '{{ $value }} sellers wait with a change that is refused for good; it is tried again every 30 s. They are shown as they were before on every page; all others go on.',
    ),
    alert(
      'TopClientsBatchUnreadable',
      'critical',
      calc(
        sum(increase(series('topclients_kafka_undecodable_batches_total'), '10m'), 'namespace', 'codec'),
        '>',
        0,
      ),
      null,
      'A batch on the topic cannot be read (compression {{ $labels.codec }})',
      'It was met about {{ $value | humanize }} times in 10 minutes. Its partition stands still behind it, and with that the sellers of that partition; the log names partition and offset.',
    ),
    alert(
      'TopClientsPartitionDoesNotMove',
      'critical',
      combine(
        max(
          combine(
            calc(series('topclients_projector_lag_records'), '>', 0),
            'and',
            // Per process, because a view that is being built has another position.
            calc(
              calc(
                maxOverTime(series('topclients_projector_position'), '3m'),
                '-',
                minOverTime(series('topclients_projector_position'), '3m'),
              ),
              '==',
              0,
            ),
          ),
          'namespace',
          'page',
          'partition',
        ),
        'or',
        calc(
          calc(
            max(series('topclients_projector_topic_partitions'), 'namespace', 'page', 'view'),
            '-',
            sum(series('topclients_projector_partitions'), 'namespace', 'page', 'view'),
          ),
          '>',
          0,
        ),
      ),
      '2m',
      '{{ with $labels.partition }}Partition {{ . }} does not move{{ else }}Nobody keeps some partitions of {{ $labels.view }} up{{ end }} on the {{ $labels.page }} page',
      '{{ if $labels.partition }}{{ $value }} messages wait and none has been applied for 3 minutes{{ else }}{{ $value }} partitions have no projector that owns them{{ end }}. Sellers of other partitions are up to date.',
    ),
    alert(
      'TopClientsRepublishStalled',
      'warning',
      calc(
        since(calc(max(series('topclients_republish_progress_timestamp_seconds'), 'namespace'), '>', 0)),
        '>',
        LIMITS.republishStalled,
      ),
      '5m',
      'Sellers are being published again, and that does not go on',
      `It last went on {{ $value | humanizeDuration }} ago; ${LIMITS.republishStalled / 60} minutes are the limit. Pages are right meanwhile. If the topic is growing, names of sellers who erase themselves may stay in old partitions until it is done.`,
    ),
    alert(
      'TopClientsSellersParked',
      'warning',
      calc(max(series('topclients_projector_parked_sellers'), 'namespace', 'page'), '>', 0),
      '5m',
      'Changes of some sellers could not be applied to the {{ $labels.page }} page',
      '{{ $value }} sellers wait with a message that its projector could not apply. They are shown as they were before; all others go on.',
    ),
    alert(
      'TopClientsErasureLate',
      'warning',
      combine(
        calc(
          since(calc(max(series('topclients_erasure_open_since_timestamp_seconds'), 'namespace'), '>', 0)),
          '>',
          LIMITS.erasureLate,
        ),
        'or',
        calc(
          since(calc(max(series('topclients_erasure_topic_due_timestamp_seconds'), 'namespace'), '>', 0)),
          '>',
          LIMITS.erasedOnTopic,
        ),
      ),
      '2m',
      'An erased seller may still be kept somewhere',
      `A store has not confirmed an erasure for {{ $value | humanizeDuration }}: ${LIMITS.erasureLate / 60} minutes are promised, and for the topic the days after which compaction has been there. The receipt names the store.`,
    ),
    alert(
      'TopClientsViewDiverges',
      'warning',
      // A difference that the next comparison finds healed alerts nobody.
      combine(
        combine(
          calc(max(series('topclients_consistency_unhealed_sellers'), 'namespace', 'page'), '>', 0),
          'or',
          calc(
            max(minOverTime(series('topclients_consistency_divergent_sellers'), '1h'), 'namespace', 'page'),
            '>',
            0,
          ),
        ),
        'or',
        // A rollback to that view would be refused, so somebody must know before it is needed.
        calc(
          max(
            minOverTime(series('topclients_consistency_kept_divergent_sellers'), '1h'),
            'namespace',
            'page',
          ),
          '>',
          0,
        ),
      ),
      '10m',
      'The {{ $labels.page }} page shows some sellers otherwise than the source has them, or would after a rollback',
      '{{ $value }} sellers differ from the source although they were sent again, or every comparison of the last hour found some.',
    ),
    alert(
      'TopClientsViewNotCompared',
      'warning',
      late(
        compared,
        max(
          maxOverTime(series('topclients_consistency_compared_timestamp_seconds'), '1d'),
          'namespace',
          'page',
        ),
        LIMITS.notCompared,
      ),
      '10m',
      'Nobody knows whether the {{ $labels.page }} page equals the source',
      `{{ if gt $value 0.0 }}The last whole comparison ended {{ $value | humanizeDuration }} ago; ${LIMITS.notCompared / 60} minutes are the limit.{{ else }}No whole comparison has ended since the comparing began, or nobody compares.{{ end }}`,
    ),
    alert(
      'TopClientsChangesNotForgotten',
      'warning',
      calc(
        since(max(series('topclients_self_view_forgotten_timestamp_seconds'), 'namespace')),
        '>',
        LIMITS.notForgotten,
      ),
      '5m',
      'The self-view keeps what sellers wrote longer than it may',
      `Its record of changes was {{ if lt $value 1e9 }}last emptied {{ $value | humanizeDuration }} ago{{ else }}never emptied{{ end }}; ${LIMITS.notForgotten / 60} minutes are the limit. What an erased seller wrote may still be in it.`,
    ),
    alert(
      'TopClientsNotifyQueueFills',
      'warning',
      calc(
        max(series('topclients_page_notify_queue_used_ratio'), 'namespace', 'page'),
        '>',
        LIMITS.notifyQueueUsed,
      ),
      '5m',
      'A session keeps the notifications of the database server of the {{ $labels.page }} page from being cleared',
      `{{ $value | humanizePercentage }} of the queue is taken; above 50 % page servers are notified of nothing and ask for each list at every visit, and whatever else sends notifications on that server fails once it is full. Nothing of ours stops.`,
    ),
    alert(
      'TopClientsPageUnknownToSource',
      'warning',
      calc(min(series('topclients_page_known_to_source'), 'namespace', 'page'), '<', 1),
      '5m',
      'The source of truth takes the {{ $labels.page }} page for a stranger',
      'A server of it has no credential, or one that no key of the source made. The source limits it like any stranger at its address; above that its calls are refused, and a page that needs them lacks top clients.',
    ),
    alert(
      'TopClientsOperatorHasNoLeader',
      'warning',
      calc(
        combine(
          combine(
            max(operatorLeads, 'namespace'),
            'or',
            calc(max(maxOverTime(series('topclients_operator_leader'), '1d'), 'namespace'), '*', 0),
          ),
          'unless',
          calc(max(operatorLeads, 'namespace'), '==', 1),
        ),
        '*',
        0,
      ),
      '5m',
      'No operator acts on the platform',
      '{{ $value }} operators hold the lease; one should. What runs goes on running, but nothing is changed, scaled or repaired.',
    ),
    alert(
      'TopClientsKafkaCodecMissing',
      'warning',
      calc(min(series('topclients_kafka_codec_installed'), 'namespace', 'codec'), '<', 1),
      '5m',
      'The codec {{ $labels.codec }} could not be put in place',
      'It is {{ $value }} in some process. A compression that is missing stops a partition at the first batch that has it; without broker-connect a process may stay unready until it is restarted; the others cost CPU.',
    ),
    alert(
      'TopClientsKafkaShortOfCopies',
      'warning',
      // A broker that restarts makes some, for less than this.
      combine(
        calc(sum(series('kafka_server_replicamanager_underreplicatedpartitions'), 'namespace'), '>', 0),
        'or',
        calc(sum(series('kafka_controller_kafkacontroller_offlinepartitionscount'), 'namespace'), '>', 0),
      ),
      '15m',
      'Kafka does not have all copies of what it holds',
      '{{ $value }} partitions have a copy that is missing or behind. Another broker that fails now stops the relay, or takes what only it has.',
    ),
    alert(
      'TopClientsStandbyBehind',
      'warning',
      combine(
        calc(
          max(series('cnpg_pg_replication_lag'), 'namespace', 'cnpg_io_cluster', 'pod'),
          '>',
          LIMITS.standbyBehind,
        ),
        'or',
        calc(
          calc(
            max(series('cnpg_pg_replication_in_recovery'), 'namespace', 'cnpg_io_cluster', 'pod'),
            '-',
            max(series('cnpg_pg_replication_is_wal_receiver_up'), 'namespace', 'cnpg_io_cluster', 'pod'),
          ),
          '>',
          0,
        ),
      ),
      '5m',
      'The standby {{ $labels.pod }} of {{ $labels.cnpg_io_cluster }} does not follow its primary',
      `{{ if gt $value ${LIMITS.standbyBehind}.0 }}It is {{ $value | humanizeDuration }} behind; ${LIMITS.standbyBehind} seconds are the limit.{{ else }}It receives nothing from the primary.{{ end }} Pages do not read it, and it is a bad one to fail over to.`,
    ),
    alert(
      'TopClientsBackupFails',
      'warning',
      combine(
        failedAfter('cnpg_pg_stat_archiver_last_failed_time', 'cnpg_pg_stat_archiver_last_archived_time'),
        'or',
        combine(
          failedAfter(
            'barman_cloud_cloudnative_pg_io_last_failed_backup_timestamp',
            'barman_cloud_cloudnative_pg_io_last_available_backup_timestamp',
          ),
          'or',
          failedAfter(
            'cnpg_collector_last_failed_backup_timestamp',
            'cnpg_collector_last_available_backup_timestamp',
          ),
        ),
      ),
      '15m',
      '{{ $labels.cnpg_io_cluster }} is not backed up any more',
      'Its write-ahead log is not archived, or its last base backup failed. What it can be restored to stands still; once its volume is full of log, nobody can write.',
    ),
    alert(
      'TopClientsTargetDown',
      'warning',
      combine(calc(targets, '==', 0), 'or', absent(targets)),
      '5m',
      '{{ with $labels.pod }}{{ . }} does not answer{{ else }}{{ with $labels.instance }}{{ . }} does not answer{{ else }}Nothing of Top Clients answers{{ end }}{{ end }} on its health port',
      'Its metrics are missing{{ if eq $value 1.0 }}, and so is every other alert{{ end }}; it probably does not work either.',
    ),
  ];
}

const percent = (share: number): string => `${Number((share * 100).toPrecision(6))} %`;
