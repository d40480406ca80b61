import { CALLERS } from './callers.ts';
import { SERVED_PAGES } from './pages.ts';

/**
 * The catalogue of metrics: each one once, with all that a dashboard, an alert or a reader needs. Roles can only
 * use what stands here. Instants are exported as Unix timestamps, never as ages: a dead process would go on
 * exporting its last age. No label holds a seller.
 */
interface MetricDefinition {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  /** What one of it is; `bool` is 0 or 1. A name that ends in a unit says the same. */
  readonly unit: Unit;
  readonly labels: readonly string[];
  readonly owner: Owner;
  readonly buckets?: readonly number[];
}
type Unit =
  | 'seconds'
  | 'bool'
  | 'requests'
  | 'commands'
  | 'rows'
  | 'erasures'
  | 'partitions'
  | 'messages'
  | 'partitions'
  | 'events'
  | 'errors'
  | 'rebalances'
  | 'sellers'
  | 'renders'
  | 'reads'
  | 'writes'
  | 'version'
  | 'ratio'
  | 'reconciles'
  | 'objects'
  | 'lists'
  | 'batches'
  | 'connections'
  | 'bytes'
  | 'tokens';
type Owner =
  | 'top-clients'
  | 'outbox-relay'
  | 'projector'
  | 'page-server'
  | 'consistency'
  | 'operator'
  | 'roles with Kafka'
  | 'roles that take tokens'
  | 'pages of others'
  | 'every role';

// Edges stand exactly on the objectives: 150 ms for a source call, 1 s for a page, 5 s for freshness.
const LATENCY = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5] as const;
const FRESHNESS = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300] as const;
// A reconcile is a handful of calls; one that waits out a deadline takes 10 s.
const RECONCILE = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] as const;
// A view of a million sellers is compared in about a minute.
const COMPARISON = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300] as const;
const SIZES = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500] as const;

export const METRICS = {
  topclients_build_info: {
    type: 'gauge',
    help: 'Always 1; its labels say which role runs in which version',
    unit: 'bool',
    labels: ['role', 'version'],
    owner: 'every role',
  },
  topclients_kafka_codec_installed: {
    type: 'gauge',
    help: "1 where a codec is in place: ours for produce requests, fetch responses and request queues, and one for each compression; 0 where kafkajs' own is used, or none",
    unit: 'bool',
    labels: ['codec'],
    owner: 'roles with Kafka',
  },
  topclients_kafka_undecodable_batches_total: {
    type: 'counter',
    help: 'Batches fetched that cannot be read, by compression; one is counted at every fetch that meets it, and its partition stands still',
    unit: 'batches',
    labels: ['codec'],
    owner: 'roles with Kafka',
  },
  topclients_http_connections: {
    type: 'gauge',
    help: 'Connections that clients hold, by port (http, health)',
    unit: 'connections',
    labels: ['port'],
    owner: 'every role',
  },
  topclients_http_connections_ended_total: {
    type: 'counter',
    help: 'Connections of clients ended by us, by why: silent (nothing came), late (a request did not arrive in time), stalled (an answer was not taken in time), memory (too much of all answers was not taken), crowded (another connection needed the place), refused (there was no place), pipelined (too many requests were sent ahead)',
    unit: 'connections',
    labels: ['port', 'why'],
    owner: 'every role',
  },
  topclients_http_requests_refused_total: {
    type: 'counter',
    help: 'Complete requests that were not served, by why: unavailable (too many of all clients were in flight), too-many-requests (too many of this one)',
    unit: 'requests',
    labels: ['port', 'why'],
    owner: 'every role',
  },
  topclients_http_unsent_bytes: {
    type: 'gauge',
    help: 'Bytes of answers that clients have not taken yet',
    unit: 'bytes',
    labels: ['port'],
    owner: 'every role',
  },
  topclients_identity_tokens_total: {
    type: 'counter',
    help: 'Tokens judged, by result: valid, expired, invalid, or unavailable where the keys to judge by cannot be had',
    unit: 'tokens',
    labels: ['result'],
    owner: 'roles that take tokens',
  },
  topclients_identity_key_fetches_total: {
    type: 'counter',
    help: "Requests for the identity provider's keys, by result: ok, failed",
    unit: 'requests',
    labels: ['result'],
    owner: 'roles that take tokens',
  },
  topclients_identity_keys_fetched_timestamp_seconds: {
    type: 'gauge',
    help: "When the identity provider's keys were fetched last; 0 when never. They are trusted for auth.keys.maxAgeSeconds from then on",
    unit: 'seconds',
    labels: [],
    owner: 'roles that take tokens',
  },
  topclients_http_requests_total: {
    type: 'counter',
    help: 'Requests answered, by route template and status',
    unit: 'requests',
    labels: ['route', 'method', 'status'],
    owner: 'top-clients',
  },
  topclients_http_request_duration_seconds: {
    type: 'histogram',
    help: 'Time from the complete request to the last byte of the answer',
    unit: 'seconds',
    labels: ['route', 'method'],
    buckets: LATENCY,
    owner: 'top-clients',
  },
  topclients_commands_total: {
    type: 'counter',
    help: 'Commands judged, by kind and result: committed, unchanged, replayed (idempotency key), or the refusal',
    unit: 'commands',
    labels: ['command', 'result'],
    owner: 'top-clients',
  },
  topclients_rate_limited_total: {
    type: 'counter',
    help: 'Requests refused by a rate limit, by what was limited: seller (changes of one), page (one of ours), signed-in (a seller with a token), address (a stranger)',
    unit: 'requests',
    labels: ['limit'],
    owner: 'top-clients',
  },
  topclients_source_senders_total: {
    type: 'counter',
    help: 'Requests to the source of truth by who sent them: a caller of ours by its credential, external (a page of somebody else, by its), a seller who is signed in, unknown (a credential that no key made), stranger, or proxy (strangers behind a proxy that is not trusted, who share one limit)',
    unit: 'requests',
    labels: ['sender'],
    owner: 'top-clients',
  },
  topclients_erasure_open_receipts: {
    type: 'gauge',
    help: 'Receipts of erasures that wait for a store to confirm, other than the topic',
    unit: 'erasures',
    labels: [],
    owner: 'top-clients',
  },
  topclients_erasure_open_since_timestamp_seconds: {
    type: 'gauge',
    help: 'Since when the oldest of these waits; 0 when none does',
    unit: 'seconds',
    labels: [],
    owner: 'top-clients',
  },
  topclients_erasure_topic_receipts: {
    type: 'gauge',
    help: 'Receipts of erasures that wait for the topic, which compaction empties within days',
    unit: 'erasures',
    labels: [],
    owner: 'top-clients',
  },
  topclients_erasure_topic_due_timestamp_seconds: {
    type: 'gauge',
    help: 'By when the first of these should be gone from the topic; 0 when none waits',
    unit: 'seconds',
    labels: [],
    owner: 'top-clients',
  },
  topclients_canary_writes_total: {
    type: 'counter',
    help: 'Changes of the synthetic seller, one a second, by result: written, failed',
    unit: 'writes',
    labels: ['result'],
    owner: 'top-clients',
  },
  topclients_outbox_pending: {
    type: 'gauge',
    help: 'Rows that wait in the outbox of a shard',
    unit: 'rows',
    labels: ['shard'],
    owner: 'outbox-relay',
  },
  topclients_outbox_oldest_pending_timestamp_seconds: {
    type: 'gauge',
    help: 'When the oldest waiting row was written, of sellers who are not held; 0 when none waits',
    unit: 'seconds',
    labels: ['shard'],
    owner: 'outbox-relay',
  },
  topclients_outbox_missed_rows_total: {
    type: 'counter',
    help: 'Rows that were below the id from which the relay looks, where none should be; it then looks at all again',
    unit: 'rows',
    labels: ['shard'],
    owner: 'outbox-relay',
  },
  topclients_relay_leader: {
    type: 'gauge',
    help: '1 where this process leads the shard',
    unit: 'bool',
    labels: ['shard'],
    owner: 'outbox-relay',
  },
  topclients_relay_sent_total: {
    type: 'counter',
    help: 'Messages Kafka acknowledged',
    unit: 'messages',
    labels: ['shard'],
    owner: 'outbox-relay',
  },
  topclients_relay_errors_total: {
    type: 'counter',
    help: 'Failures by step: lead (get or keep a shard), ack_and_fetch (in the outbox), send (to Kafka)',
    unit: 'errors',
    labels: ['step'],
    owner: 'outbox-relay',
  },
  topclients_relay_send_errors_total: {
    type: 'counter',
    help: 'Sends that failed, by the reason Kafka gives and its kind: record (a row is refused for good), topic (nothing is taken until somebody mends it), transient',
    unit: 'errors',
    labels: ['kind', 'reason'],
    owner: 'outbox-relay',
  },
  topclients_relay_blocked: {
    type: 'gauge',
    help: '1 while Kafka takes nothing of the shard: refused for all, or failing for more than 5 s',
    unit: 'bool',
    labels: ['shard'],
    owner: 'outbox-relay',
  },
  topclients_relay_held_sellers: {
    type: 'gauge',
    help: 'Sellers of a shard that wait for a row which is refused for good; everyone else goes on',
    unit: 'sellers',
    labels: ['shard'],
    owner: 'outbox-relay',
  },
  topclients_relay_batch_size: {
    type: 'histogram',
    help: 'Rows in a batch',
    unit: 'rows',
    labels: [],
    buckets: SIZES,
    owner: 'outbox-relay',
  },
  topclients_relay_send_duration_seconds: {
    type: 'histogram',
    help: 'Time until Kafka acknowledged a batch',
    unit: 'seconds',
    labels: [],
    buckets: LATENCY,
    owner: 'outbox-relay',
  },
  topclients_relay_delay_seconds: {
    type: 'histogram',
    help: 'Commit to acknowledged by Kafka',
    unit: 'seconds',
    labels: [],
    buckets: FRESHNESS,
    owner: 'outbox-relay',
  },
  topclients_partition_layout_partitions: {
    type: 'gauge',
    help: 'By how many partitions messages are divided; 0 before the first relay has led',
    unit: 'partitions',
    labels: [],
    owner: 'outbox-relay',
  },
  topclients_partition_layout_moved_from: {
    type: 'gauge',
    help: 'How many partitions there were before, while sellers are published in their new ones; else 0',
    unit: 'partitions',
    labels: [],
    owner: 'outbox-relay',
  },
  topclients_republish_sellers: {
    type: 'gauge',
    help: 'Sellers that the run under way publishes again; 0 when there is none',
    unit: 'sellers',
    labels: [],
    owner: 'outbox-relay',
  },
  topclients_republish_done_sellers: {
    type: 'gauge',
    help: 'Sellers that the run under way has been through',
    unit: 'sellers',
    labels: [],
    owner: 'outbox-relay',
  },
  topclients_republish_progress_timestamp_seconds: {
    type: 'gauge',
    help: 'When the run under way last went on; 0 when there is none',
    unit: 'seconds',
    labels: [],
    owner: 'outbox-relay',
  },
  topclients_projector_events_total: {
    type: 'counter',
    help: 'Events by result: applied, duplicate (the version was there), stale (a newer one was), tombstone (beside its erasure), unversioned (a tombstone that tells no version), moved (the marker of a key in another partition now), parked',
    unit: 'events',
    labels: ['page', 'result'],
    owner: 'projector',
  },
  topclients_projector_redriven_total: {
    type: 'counter',
    help: 'Parked messages that the projector tried again by itself, by result: applied, superseded (the view is beyond it), remains',
    unit: 'messages',
    labels: ['page', 'result'],
    owner: 'projector',
  },
  topclients_projector_notification_outages_total: {
    type: 'counter',
    help: "Times the database's queue of notifications was full, so that rows were written without telling page servers",
    unit: 'errors',
    labels: ['page'],
    owner: 'projector',
  },
  topclients_projector_batch_size: {
    type: 'histogram',
    help: 'Events in a statement',
    unit: 'events',
    labels: ['page'],
    buckets: SIZES,
    owner: 'projector',
  },
  topclients_projector_batch_duration_seconds: {
    type: 'histogram',
    help: 'Time of the statement that applied a chunk',
    unit: 'seconds',
    labels: ['page'],
    buckets: LATENCY,
    owner: 'projector',
  },
  topclients_projector_delay_seconds: {
    type: 'histogram',
    help: 'Commit at the source to visible in the database of the page',
    unit: 'seconds',
    labels: ['page'],
    buckets: FRESHNESS,
    owner: 'projector',
  },
  topclients_projector_lag_records: {
    type: 'gauge',
    help: 'Messages of a partition not applied yet, those that an open transaction holds back among them',
    unit: 'messages',
    labels: ['page', 'partition'],
    owner: 'projector',
  },
  topclients_projector_lag_seconds: {
    type: 'gauge',
    help: 'Age of the oldest message of a partition not applied yet, measured at the last look; 0 when caught up',
    unit: 'seconds',
    labels: ['page', 'partition'],
    owner: 'projector',
  },
  topclients_projector_lag_unstable_records: {
    type: 'gauge',
    help: 'Messages of a partition that nobody can read yet, because a transaction of another producer is open',
    unit: 'messages',
    labels: ['page', 'partition'],
    owner: 'projector',
  },
  topclients_projector_position: {
    type: 'gauge',
    help: 'The offset after the last message of a partition that was applied',
    unit: 'messages',
    labels: ['page', 'partition'],
    owner: 'projector',
  },
  topclients_projector_partitions: {
    type: 'gauge',
    help: 'Partitions that this process owns, by what it does with them: positioning, running, releasing',
    unit: 'partitions',
    labels: ['page', 'view', 'state'],
    owner: 'projector',
  },
  topclients_projector_topic_partitions: {
    type: 'gauge',
    help: 'Partitions of the topic, as far as this process has seen; 0 before that',
    unit: 'partitions',
    labels: ['page', 'view'],
    owner: 'projector',
  },
  topclients_projector_stalled_total: {
    type: 'counter',
    help: 'Times a partition stood still that could be read, and the process started anew for it',
    unit: 'errors',
    labels: ['page'],
    owner: 'projector',
  },
  topclients_projector_last_applied_commit_timestamp_seconds: {
    type: 'gauge',
    help: 'Commit time of the newest event applied',
    unit: 'seconds',
    labels: ['page'],
    owner: 'projector',
  },
  topclients_projector_rebalances_total: {
    type: 'counter',
    help: 'Changes of what this process owns',
    unit: 'rebalances',
    labels: ['page'],
    owner: 'projector',
  },
  topclients_projector_parked_sellers: {
    type: 'gauge',
    help: 'Sellers whose newest message could not be applied',
    unit: 'sellers',
    labels: ['page'],
    owner: 'projector',
  },
  topclients_page_renders_total: {
    type: 'counter',
    help: 'Pages answered, by outcome of the data: full, missing, stale, error (the page itself failed)',
    unit: 'renders',
    labels: ['page', 'delivery', 'outcome'],
    owner: 'page-server',
  },
  topclients_page_render_duration_seconds: {
    type: 'histogram',
    help: 'Time from the request to the answer',
    unit: 'seconds',
    labels: ['page', 'delivery'],
    buckets: LATENCY,
    owner: 'page-server',
  },
  topclients_page_staleness_seconds: {
    type: 'histogram',
    help: 'For renders that asked for a version or fell back: how old the shown version was when it was known behind',
    unit: 'seconds',
    labels: ['page', 'delivery'],
    buckets: FRESHNESS,
    owner: 'page-server',
  },
  topclients_page_min_version_refused_total: {
    type: 'counter',
    help: 'Readers who asked for a version and got no page, by result: beyond (nobody has that version), limited (they caused too many calls to the source)',
    unit: 'requests',
    labels: ['page', 'result'],
    owner: 'page-server',
  },
  topclients_page_shadow_reads_total: {
    type: 'counter',
    help: 'Lists that a page got another way and compared with its view, by result: equal; behind or ahead (another version); different (the same version with other clients, which must stay 0); missing (the view could not be read)',
    unit: 'reads',
    labels: ['page', 'result'],
    owner: 'pages of others',
  },
  topclients_page_source_requests_total: {
    type: 'counter',
    help: 'Calls of a page to the source of truth by result: ok, error, timeout, rejected (limit), open (breaker)',
    unit: 'requests',
    labels: ['page', 'result'],
    owner: 'page-server',
  },
  topclients_page_source_requests_resent_total: {
    type: 'counter',
    help: 'Reads of the source that a page sent once more, because the source closed the connection before it answered',
    unit: 'requests',
    labels: ['page'],
    owner: 'page-server',
  },
  topclients_page_source_request_duration_seconds: {
    type: 'histogram',
    help: 'Time of a call to the source of truth',
    unit: 'seconds',
    labels: ['page'],
    buckets: LATENCY,
    owner: 'page-server',
  },
  topclients_page_breaker_open: {
    type: 'gauge',
    help: '1 while the circuit breaker of the page keeps calls from the source',
    unit: 'bool',
    labels: ['page'],
    owner: 'page-server',
  },
  topclients_page_known_to_source: {
    type: 'gauge',
    help: '0 where the page has no credential, or the source did not know the last one: it is limited as a stranger there; else 1',
    unit: 'bool',
    labels: ['page'],
    owner: 'page-server',
  },
  topclients_page_cache_invalidation_connected: {
    type: 'gauge',
    help: '1 while change notifications of the view reach this process, so that cache entries are hits; 0: the process asks the view at every visit',
    unit: 'bool',
    labels: ['page'],
    owner: 'page-server',
  },
  topclients_page_notify_queue_used_ratio: {
    type: 'gauge',
    help: "Share of the queue of notifications of the page's database server that is taken; above one half nobody is notified; 0 while not connected",
    unit: 'ratio',
    labels: ['page'],
    owner: 'page-server',
  },
  topclients_page_database_reads_total: {
    type: 'counter',
    help: "Statements of a page by the server of its database that answered: primary, or the replica that follows it; only the primary's lists are cached",
    unit: 'reads',
    labels: ['page', 'server'],
    owner: 'page-server',
  },
  topclients_page_replica_current_timestamp_seconds: {
    type: 'gauge',
    help: "Until when the replica of the page's database has all that the primary had, as far as both told; stands still while either does not answer; 0 without a replica",
    unit: 'seconds',
    labels: ['page'],
    owner: 'page-server',
  },
  topclients_page_view_version: {
    type: 'gauge',
    help: 'Version of the view that the page shows, 1 until its database has told; 0 where the delivery has none',
    unit: 'version',
    labels: ['page', 'delivery'],
    owner: 'page-server',
  },
  topclients_external_page_view_version: {
    type: 'gauge',
    help: 'Version of the view that the database of a page of somebody else was told to show; of the operator that leads',
    unit: 'version',
    labels: ['namespace', 'page', 'delivery'],
    owner: 'operator',
  },
  topclients_self_view_violations_total: {
    type: 'counter',
    help: 'Reads of the self-view older than a write acknowledged before them; must stay 0',
    unit: 'reads',
    labels: [],
    owner: 'page-server',
  },
  topclients_self_view_forgotten_timestamp_seconds: {
    type: 'gauge',
    help: "When the self-view's record of changes was last emptied of what is older than an hour or was erased; 0 before the first time",
    unit: 'seconds',
    labels: [],
    owner: 'page-server',
  },
  topclients_canary_delay_seconds: {
    type: 'histogram',
    help: "Commit of the synthetic seller's change to its being found in the database of the page",
    unit: 'seconds',
    labels: ['page'],
    buckets: FRESHNESS,
    owner: 'consistency',
  },
  topclients_canary_seen_timestamp_seconds: {
    type: 'gauge',
    help: "Commit time of the newest change of the synthetic seller found in the page's database; 0 when none was",
    unit: 'seconds',
    labels: ['page'],
    owner: 'consistency',
  },
  topclients_consistency_compared_sellers: {
    type: 'gauge',
    help: 'Sellers looked at by the last complete comparison of source and view',
    unit: 'sellers',
    labels: ['page'],
    owner: 'consistency',
  },
  topclients_consistency_divergent_sellers: {
    type: 'gauge',
    help: 'Sellers whose row in the view is not as the source has it and is not on its way either',
    unit: 'sellers',
    labels: ['page'],
    owner: 'consistency',
  },
  topclients_consistency_kept_divergent_sellers: {
    type: 'gauge',
    help: 'Sellers whose row in a view that is kept for a rollback is not as the source has it',
    unit: 'sellers',
    labels: ['page', 'view'],
    owner: 'consistency',
  },
  topclients_consistency_compared_timestamp_seconds: {
    type: 'gauge',
    help: 'When the last complete comparison ended; 0 when none has',
    unit: 'seconds',
    labels: ['page'],
    owner: 'consistency',
  },
  topclients_consistency_comparison_duration_seconds: {
    type: 'histogram',
    help: 'Time of a complete comparison',
    unit: 'seconds',
    labels: ['page'],
    buckets: COMPARISON,
    owner: 'consistency',
  },
  topclients_consistency_repairs_total: {
    type: 'counter',
    help: 'Sellers whose state was sent again because their row differed',
    unit: 'sellers',
    labels: ['page'],
    owner: 'consistency',
  },
  topclients_consistency_unhealed_sellers: {
    type: 'gauge',
    help: 'Divergent sellers whose row stayed as it was after three repairs; they are sent again only now and then',
    unit: 'sellers',
    labels: ['page'],
    owner: 'consistency',
  },
  topclients_consistency_errors_total: {
    type: 'counter',
    help: 'Comparisons that came to no verdict and are tried again',
    unit: 'errors',
    labels: ['page'],
    owner: 'consistency',
  },
  topclients_operator_reconcile_total: {
    type: 'counter',
    help: 'Reconciles ended, by kind and result: done, again (it asked to be called again), failed',
    unit: 'reconciles',
    labels: ['kind', 'result'],
    owner: 'operator',
  },
  topclients_operator_reconcile_errors_total: {
    type: 'counter',
    help: 'Reconciles that failed and are tried again later',
    unit: 'errors',
    labels: ['kind'],
    owner: 'operator',
  },
  topclients_operator_reconcile_duration_seconds: {
    type: 'histogram',
    help: 'Time of a reconcile',
    unit: 'seconds',
    labels: ['kind'],
    buckets: RECONCILE,
    owner: 'operator',
  },
  topclients_operator_queue_depth: {
    type: 'gauge',
    help: 'Objects that wait for a worker; those that wait for their time are not counted',
    unit: 'objects',
    labels: [],
    owner: 'operator',
  },
  topclients_operator_leader: {
    type: 'gauge',
    help: '1 where this process holds the lease of the namespace and acts there',
    unit: 'bool',
    labels: ['namespace'],
    owner: 'operator',
  },
  topclients_operator_overlap: {
    type: 'gauge',
    help: '1 where another operator leads in the namespace, and this one, which is to work there as well, waits',
    unit: 'bool',
    labels: ['namespace'],
    owner: 'operator',
  },
  topclients_operator_api_requests_total: {
    type: 'counter',
    help: 'Requests to the API server, by verb and HTTP status; 0 is no answer',
    unit: 'requests',
    labels: ['verb', 'code'],
    owner: 'operator',
  },
  topclients_operator_informer_relists_total: {
    type: 'counter',
    help: 'Times a kind was listed anew because its watch could not be resumed',
    unit: 'lists',
    labels: ['kind'],
    owner: 'operator',
  },
} as const satisfies Record<string, MetricDefinition>;

export type MetricName = keyof typeof METRICS;
export type MetricOfType<T extends MetricDefinition['type']> = {
  [N in MetricName]: (typeof METRICS)[N]['type'] extends T ? N : never;
}[MetricName];
export type LabelsOf<N extends MetricName> = (typeof METRICS)[N]['labels'][number];

/** How many values a label can have within one installation, and which, where that is a closed list. */
interface LabelBound {
  readonly atMost: number;
  readonly values?: readonly string[];
}
const oneOf = (...values: readonly string[]): LabelBound => ({ atMost: values.length, values });

/**
 * The bounds of labels, and so of the series of a metric: a store pays for each series, and a label that grows with
 * traffic or with sellers would overload it. The words of `result` are those of all metrics that have it.
 */
export const LABELS: Readonly<Record<LabelsOf<MetricName>, LabelBound>> = {
  role: { atMost: 20 },
  /** The versions before and after an upgrade, for some upgrades within the hours that a series is kept in memory. */
  version: { atMost: 10 },
  page: oneOf(...SERVED_PAGES),
  delivery: oneOf('asynchronous', 'hybrid', 'synchronous', 'off'),
  /** As `asynchronous-v1`: views of a page within the hours that a process lives. */
  view: { atMost: 20 },
  outcome: oneOf('full', 'missing', 'stale', 'error'),
  /** Templates of addresses, never addresses. */
  route: { atMost: 20 },
  method: oneOf('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'other'),
  status: { atMost: 30 },
  command: { atMost: 10 },
  result: oneOf(
    ...[
      'committed',
      'unchanged',
      'replayed',
      'too-many-clients',
      'duplicate-client',
      'unknown-client',
      'period-reversed',
    ],
    ...['order-mismatch', 'precondition-failed', 'idempotency-key-reused', 'key-erased', 'too-many-keys'],
    ...['written', 'failed', 'applied', 'duplicate', 'stale', 'tombstone', 'parked'],
    ...['unversioned', 'moved', 'superseded', 'remains'],
    ...['equal', 'behind', 'ahead', 'different', 'missing'],
    ...['ok', 'error', 'timeout', 'rejected', 'open', 'done', 'again', 'beyond', 'limited'],
    ...['valid', 'invalid', 'expired', 'unavailable'],
  ),
  codec: oneOf(
    ...['produce-request', 'broker-connect', 'request-queue', 'gzip', 'snappy', 'lz4', 'zstd'],
    ...['none', 'unknown'],
  ),
  limit: oneOf('seller', 'page', 'signed-in', 'address'),
  sender: oneOf(...CALLERS, 'external', 'signed-in', 'unknown', 'stranger', 'proxy'),
  port: oneOf('http', 'health'),
  /** Of a page's database. */
  server: oneOf('primary', 'replica'),
  /** Why a connection was ended, or a request refused. */
  why: oneOf(
    ...['silent', 'late', 'stalled', 'memory', 'crowded', 'refused', 'pipelined'],
    ...['unavailable', 'too-many-requests'],
  ),
  shard: { atMost: 64 },
  step: oneOf('lead', 'ack_and_fetch', 'send'),
  partition: { atMost: 1_000 },
  /** Of a partition that a process owns. */
  state: oneOf('positioning', 'running', 'releasing'),
  kind: { atMost: 30 },
  /** That an operator works in: its own, or those that it is told. */
  namespace: { atMost: 100 },
  /** Kafka's names of errors, those that the relay knows. */
  reason: { atMost: 50 },
  verb: { atMost: 12 },
  code: { atMost: 30 },
};

/** The most series that one metric may have in one process, a histogram's buckets counted. */
export const MOST_SERIES = 5_000;

/** The most series that a metric can have in one process, by its labels' bounds; a process serves one page. */
export function seriesOf(name: MetricName): number {
  const { labels, buckets = [] } = METRICS[name] as MetricDefinition;
  const combinations = labels
    .filter((label) => label !== 'page')
    .reduce((product, label) => product * LABELS[label as LabelsOf<MetricName>].atMost, 1);
  return combinations * (METRICS[name].type === 'histogram' ? buckets.length + 3 : 1);
}
