/**
 * Builds Prometheus expressions from the catalogue: an unknown name, label or grouping does not compile. What types
 * cannot check (legends, templates, joins) the gate checks: `dashboards/testing/promql-gate.ts`. Pure and without
 * packages, because the operator builds rules with it.
 */
import { type LabelsOf, METRICS, type MetricName, type MetricOfType } from '#contracts/metrics.ts';
import { RECORDED, type RecordedName } from './rules/recorded.ts';

/** Labels that scraping adds: the Prometheus operator for every pod, and our PodMonitor by `podTargetLabels`. */
export const TARGET_LABELS = [
  'namespace',
  'pod',
  'container',
  'endpoint',
  'instance',
  'job',
  'app_kubernetes_io_component',
  'app_kubernetes_io_instance',
] as const;
type TargetLabel = (typeof TARGET_LABELS)[number];

/** The Cluster of an instance, by our PodMonitor. */
const IN_CLUSTER = ['cnpg_io_cluster'] as const;

/** Metrics that others export: every process by itself (prom-client), Prometheus of a target, the stores' operators. */
export const FOREIGN = {
  up: [],
  process_start_time_seconds: [],
  process_cpu_seconds_total: [],
  process_resident_memory_bytes: [],
  nodejs_eventloop_lag_p99_seconds: [],
  /** An alert that is pending or firing, with its own labels and those of its series. */
  ALERTS: ['alertname', 'alertstate', 'severity', 'window', 'page', 'delivery', 'objective', 'shard'],
  // Of Strimzi's brokers, by its metrics reporter.
  kafka_server_replicamanager_underreplicatedpartitions: [],
  kafka_server_replicamanager_underminisrpartitioncount: [],
  kafka_controller_kafkacontroller_offlinepartitionscount: [],
  kafka_controller_kafkacontroller_activecontrollercount: [],
  // Of CloudNativePG's instances, by the queries that it brings.
  cnpg_pg_replication_in_recovery: IN_CLUSTER,
  cnpg_pg_replication_is_wal_receiver_up: IN_CLUSTER,
  cnpg_pg_replication_lag: IN_CLUSTER,
  cnpg_pg_replication_streaming_replicas: IN_CLUSTER,
  cnpg_pg_stat_archiver_last_archived_time: IN_CLUSTER,
  cnpg_pg_stat_archiver_last_failed_time: IN_CLUSTER,
  cnpg_collector_pg_wal_archive_status: [...IN_CLUSTER, 'value'],
  cnpg_collector_last_available_backup_timestamp: IN_CLUSTER,
  cnpg_collector_last_failed_backup_timestamp: IN_CLUSTER,
  // Of the Barman Cloud plugin, through the same instances.
  barman_cloud_cloudnative_pg_io_last_available_backup_timestamp: IN_CLUSTER,
  barman_cloud_cloudnative_pg_io_last_failed_backup_timestamp: IN_CLUSTER,
} as const;
export type ForeignName = keyof typeof FOREIGN;

type HistogramName = MetricOfType<'histogram'>;
type PlainName = Exclude<MetricName, HistogramName>;
export type SeriesName =
  | PlainName
  | `${HistogramName}_${'bucket' | 'sum' | 'count'}`
  | RecordedName
  | ForeignName;

/** The labels that a series can have. */
export type LabelOf<S extends SeriesName> = S extends RecordedName
  ? (typeof RECORDED)[S][number]
  :
      | TargetLabel
      | (S extends `${infer N extends HistogramName}_bucket`
          ? LabelsOf<N> | 'le'
          : S extends `${infer N extends HistogramName}_${'sum' | 'count'}`
            ? LabelsOf<N>
            : S extends PlainName
              ? LabelsOf<S>
              : S extends ForeignName
                ? (typeof FOREIGN)[S][number]
                : never);

/**
 * The labels that a series of that name can have.
 * @returns null when nothing has that name
 */
export function labelsOf(name: string): readonly string[] | null {
  const recorded: Readonly<Record<string, readonly string[]>> = RECORDED;
  if (Object.hasOwn(recorded, name)) return recorded[name]!;
  const own = ownLabelsOf(name);
  return own && [...own, ...TARGET_LABELS];
}

function ownLabelsOf(name: string): readonly string[] | null {
  const foreign: Readonly<Record<string, readonly string[]>> = FOREIGN;
  if (Object.hasOwn(foreign, name)) return foreign[name]!;
  const catalogue: Readonly<Record<string, { type: string; labels: readonly string[] }>> = METRICS;
  const plain = Object.hasOwn(catalogue, name) ? catalogue[name]! : null;
  // A histogram has no series under its bare name; a query for it finds nothing.
  if (plain) return plain.type === 'histogram' ? null : plain.labels;
  const [, base, part] = /^(.+)_(bucket|sum|count)$/.exec(name) ?? [];
  const histogram = base !== undefined && Object.hasOwn(catalogue, base) ? catalogue[base]! : null;
  if (histogram?.type !== 'histogram') return null;
  return part === 'bucket' ? [...histogram.labels, 'le'] : histogram.labels;
}

declare const LABELS: unique symbol;
/** An expression whose series have at most these labels. */
export interface Vector<L extends string> {
  readonly text: string;
  /** A binary expression gets brackets when it becomes an operand. */
  readonly binary?: true;
  readonly [LABELS]?: L;
}
/** Stored series; only of these can a range be taken. */
export interface Selector<L extends string> extends Vector<L> {
  readonly selector: true;
}
export type Matcher =
  | string
  | { readonly re: string }
  | { readonly notRe: string }
  | { readonly not: string };
type Duration = `${number}${'s' | 'm' | 'h' | 'd'}` | '$__rate_interval' | '$__range' | '$__interval';

/** Every selector of a rule or dashboard is narrowed to this. */
export interface Scope {
  readonly namespace?: Matcher;
  /** Only applied to series that have a label `page`. */
  readonly page?: Matcher;
}
export type Series = <S extends SeriesName>(
  name: S,
  matchers?: Partial<Record<LabelOf<S>, Matcher>>,
) => Selector<LabelOf<S>>;

/** Selectors narrowed to a scope; matchers of a single selector override it. */
export const within =
  (scope: Scope): Series =>
  (name, matchers) => {
    const given = Object.entries<Matcher | undefined>(matchers ?? {});
    const all = new Map<string, Matcher | undefined>([
      ['namespace', scope.namespace],
      ...(labelsOf(name)!.includes('page') ? [['page', scope.page] as const] : []),
      ...given,
    ]);
    const texts = [...all].flatMap(([label, matcher]) =>
      matcher === undefined ? [] : [matcherText(label, matcher)],
    );
    return { text: texts.length === 0 ? name : `${name}{${texts.join(', ')}}`, selector: true };
  };

function matcherText(label: string, matcher: Matcher): string {
  if (typeof matcher === 'string') return `${label}=${JSON.stringify(matcher)}`;
  if ('re' in matcher) return `${label}=~${JSON.stringify(matcher.re)}`;
  return 'not' in matcher
    ? `${label}!=${JSON.stringify(matcher.not)}`
    : `${label}!~${JSON.stringify(matcher.notRe)}`;
}

const vector = <L extends string>(text: string): Vector<L> => ({ text });
const operand = (of: Vector<string> | number): string =>
  typeof of === 'number' ? String(of) : of.binary ? `(${of.text})` : of.text;

const ranged =
  (fn: string) =>
  <L extends string>(of: Selector<L>, window: Duration): Vector<L> =>
    vector(`${fn}(${of.text}[${window}])`);
export const rate = ranged('rate');
export const increase = ranged('increase');
export const sumOverTime = ranged('sum_over_time');
export const maxOverTime = ranged('max_over_time');
export const minOverTime = ranged('min_over_time');

const aggregation =
  (fn: string) =>
  <L extends string, B extends L = never>(of: Vector<L>, ...by: readonly B[]): Vector<B> =>
    vector(`${fn}${by.length === 0 ? ' ' : ` by (${by.join(', ')}) `}(${of.text})`);
export const sum = aggregation('sum');
export const max = aggregation('max');
export const min = aggregation('min');
export const count = aggregation('count');

/** The largest ones, unchanged. */
export const topk = <L extends string>(most: number, of: Vector<L>): Vector<L> =>
  vector(`topk(${most}, ${of.text})`);

/** @param of buckets, summed by `le` and every other label that must be kept */
export const quantile = <L extends string>(
  q: number,
  of: 'le' extends L ? Vector<L> : never,
): Vector<Exclude<L, 'le'>> => vector(`histogram_quantile(${q}, ${(of as Vector<L>).text})`);

type Operator = '+' | '-' | '*' | '/' | '>' | '<' | '>=' | '==' | '!=';
/** Both sides have the same labels, or one of them is a number. Comparisons drop what does not hold. */
export function calc<L extends string>(
  left: Vector<L>,
  operator: Operator,
  right: Vector<NoInfer<L>> | number,
): Vector<L> {
  return { text: `${operand(left)} ${operator} ${operand(right)}`, binary: true };
}
/** Many on the left for each on the right; the labels are those of the left, and `also` some of the right. */
export function calcOn<L extends string, R extends string, A extends R = never>(
  left: Vector<L>,
  operator: Operator,
  on: readonly (L & R)[],
  right: Vector<R>,
  ...also: readonly A[]
): Vector<L | A> {
  return {
    text: `${operand(left)} ${operator} on (${on.join(', ')}) group_left (${also.join(', ')}) ${operand(right)}`,
    binary: true,
  };
}
type SetOperator = 'and' | 'or' | 'unless';
/** @param on the labels that must match; all of them when absent */
export function combine<L extends string, R extends string>(
  left: Vector<L>,
  operator: SetOperator,
  right: Vector<R>,
  on?: readonly (L & R)[],
): Vector<L | R> {
  const matching = on ? ` on (${on.join(', ')})` : '';
  return { text: `${operand(left)} ${operator}${matching} ${operand(right)}`, binary: true };
}

/** Seconds since the instant that a metric holds. */
export const since = <L extends string>(instant: Vector<L>): Vector<L> => ({
  text: `time() - ${operand(instant)}`,
  binary: true,
});
/** The difference to 1. */
export const rest = <L extends string>(of: Vector<L>): Vector<L> => ({
  text: `1 - ${operand(of)}`,
  binary: true,
});
export const atLeast = <L extends string>(of: Vector<L>, least: number): Vector<L> =>
  vector(`clamp_min(${of.text}, ${least})`);
/** 1 when nothing matches; its labels are those for which the selector names a value. */
export const absent = <L extends string>(of: Selector<L>): Vector<L> => vector(`absent(${of.text})`);
/** 0 when there is no result; only for a single number. */
export const orZero = (of: Vector<never>): Vector<never> => ({
  text: `${operand(of)} or vector(0)`,
  binary: true,
});
/** The value of that time ago. */
export const before = <L extends string>(of: Selector<L>, ago: Duration): Selector<L> => ({
  text: `${of.text} offset ${ago}`,
  selector: true,
});
