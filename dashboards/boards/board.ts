/**
 * The look of our dashboards: each dashboard is data, in reading order, and is built here into Grafana's model. The
 * reader is on call, at night, on a laptop: few panels, each with a sentence that says what it means and a way to its
 * cause.
 */
import * as bargauge from '@grafana/grafana-foundation-sdk/bargauge';
import type { Builder } from '@grafana/grafana-foundation-sdk/cog';
import * as common from '@grafana/grafana-foundation-sdk/common';
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard';
import * as prometheus from '@grafana/grafana-foundation-sdk/prometheus';
import * as stat from '@grafana/grafana-foundation-sdk/stat';
import * as statetimeline from '@grafana/grafana-foundation-sdk/statetimeline';
import * as timeseries from '@grafana/grafana-foundation-sdk/timeseries';
import { METRICS, type MetricName } from '#contracts/metrics.ts';
import { before, calc, calcOn, max, type Vector, within } from '../promql.ts';

export const BOARDS = [
  'overview',
  'consistency',
  'availability',
  'callers',
  'pipeline',
  'stores',
  'operator',
] as const;
export type BoardName = (typeof BOARDS)[number];
export const uidOf = (name: BoardName): string => `topclients-${name}`;

/** Every series of a dashboard belongs to the installation and the pages that the reader chose. */
export const series = within({ namespace: '$namespace', page: { re: '$page' } });

export interface Query {
  readonly expr: Vector<string>;
  /** `{{label}}` stands for the label that distinguishes the series. */
  readonly legend: string;
  /** Only the newest value is queried. */
  readonly instant?: boolean;
  /** The unit of an axis of its own, at the right. */
  readonly rightAxis?: string;
}

export interface PanelSpec {
  readonly kind: 'stat' | 'lines' | 'bars' | 'states';
  readonly title: string;
  readonly description: string;
  readonly unit: string;
  readonly queries: readonly Query[];
  /** Of 24 columns; an even share when absent. */
  readonly span?: number;
  /** Values are good below the first limit, or above it with `higherIsBetter`. */
  readonly limits?: { readonly warn?: number; readonly bad: number; readonly higherIsBetter?: boolean };
  readonly stacked?: boolean;
  readonly decimals?: number;
  readonly min?: number;
  readonly max?: number;
  /** Colours of series by their legend, for words that have the same colour everywhere. */
  readonly colours?: Readonly<Record<string, string>>;
  /** What the values 0 and 1 of states mean. */
  readonly words?: { readonly 0: string; readonly 1: string; readonly good: 0 | 1 };
  readonly linksTo?: BoardName;
  /** Why there may be nothing to show although there is no problem. */
  readonly emptyWhen?: string;
}
export interface SectionSpec {
  readonly title: string;
  readonly height: number;
  readonly panels: readonly PanelSpec[];
}
export interface BoardSpec {
  readonly name: BoardName;
  readonly title: string;
  readonly description: string;
  readonly sections: readonly SectionSpec[];
}

export const OUTCOME_COLOURS = { full: 'green', missing: 'orange', stale: 'yellow', error: 'red' } as const;
const GOOD = 'green';
const WARN = 'orange';
const BAD = 'red';

const PER_SECOND: Readonly<Partial<Record<(typeof METRICS)[MetricName]['unit'], string>>> = {
  requests: 'reqps',
  commands: 'ops',
  reads: 'rps',
  writes: 'wps',
  rows: 'rowsps',
  messages: 'mps',
  events: 'eps',
  renders: 'reqps',
};
const UNITS: Readonly<Partial<Record<(typeof METRICS)[MetricName]['unit'], string>>> = {
  seconds: 's',
  bool: 'bool',
  ratio: 'percentunit',
};
/** The unit of a metric's values, as Grafana names it. */
export const unitOf = (name: MetricName): string => {
  const { unit } = METRICS[name];
  return UNITS[unit] ?? 'short';
};
/** The unit of the metric's rate. */
export const rateUnitOf = (name: MetricName): string => PER_SECOND[METRICS[name].unit] ?? 'cps';

const SOURCE = { type: 'prometheus', uid: `\${datasource}` };

export function build(spec: BoardSpec): dashboard.Dashboard {
  const builder = new dashboard.DashboardBuilder(spec.title)
    .uid(uidOf(spec.name))
    .description(spec.description)
    .tags(['top-clients'])
    .timezone('browser')
    .tooltip(dashboard.DashboardCursorSync.Crosshair)
    .time({ from: 'now-1h', to: 'now' })
    .refresh('30s')
    .editable()
    .link(
      new dashboard.DashboardLinkBuilder('Top Clients')
        .type(dashboard.DashboardLinkType.Dashboards)
        .tags(['top-clients'])
        .keepTime(true)
        .includeVars(true),
    )
    .variables(variables())
    .annotations(ANNOTATIONS.map(annotation));
  let id = 1;
  let y = 0;
  for (const section of spec.sections) {
    builder.withRow(new dashboard.RowBuilder(section.title).id(id++).gridPos({ x: 0, y: y++, w: 24, h: 1 }));
    let x = 0;
    for (const panel of section.panels) {
      const w = panel.span ?? Math.floor(24 / section.panels.length);
      builder.withPanel(panelOf(panel, id++, { x, y, w, h: section.height }));
      x += w;
    }
    y += section.height;
  }
  return builder.build();
}

/** The series whose labels the choices list; Grafana's `label_values` queries only their labels. */
export const CHOICES = {
  namespace: { of: within({})('topclients_build_info'), label: 'namespace' },
  page: {
    of: within({ namespace: '$namespace' })('topclients_page_renders_total'),
    label: 'page',
  },
} as const;

function variables(): Builder<dashboard.VariableModel>[] {
  const choice = (name: keyof typeof CHOICES) =>
    new dashboard.QueryVariableBuilder(name)
      .datasource(SOURCE)
      .query(`label_values(${CHOICES[name].of.text}, ${CHOICES[name].label})`)
      .refresh(dashboard.VariableRefresh.OnTimeRangeChanged)
      .sort(dashboard.VariableSort.AlphabeticalAsc);
  return [
    new dashboard.DatasourceVariableBuilder('datasource').label('Prometheus').type('prometheus'),
    // Empty when series have no namespace, which then matches them.
    choice('namespace').label('Namespace'),
    choice('page').label('Page').multi(true).includeAll(true).allValue('.+').current({
      selected: true,
      text: 'All',
      value: '$__all',
    }),
  ];
}

export interface AnnotationSpec {
  readonly name: string;
  readonly colour: string;
  readonly expr: Vector<string>;
  readonly title: string;
  /** The value is an instant, in ms. */
  readonly valueIsTime: boolean;
}
const starts = calcOn(
  series('process_start_time_seconds'),
  '*',
  ['namespace', 'pod', 'instance'],
  series('topclients_build_info'),
  'role',
  'version',
);
const view = series('topclients_page_view_version');
export const ANNOTATIONS: readonly AnnotationSpec[] = [
  {
    name: 'Starts and rollouts',
    colour: 'blue',
    expr: calc(max(starts, 'role', 'version'), '*', 1_000),
    title: '{{role}} {{version}} started',
    valueIsTime: true,
  },
  {
    name: 'View switches',
    colour: 'purple',
    expr: calc(max(view, 'page', 'delivery'), '!=', max(before(view, '$__interval'), 'page', 'delivery')),
    title: '{{page}} shows another view ({{delivery}})',
    valueIsTime: false,
  },
];

const annotation = ({ name, colour, expr, title, valueIsTime }: AnnotationSpec) =>
  new dashboard.AnnotationQueryBuilder()
    .name(name)
    .datasource(SOURCE)
    .enable(true)
    .iconColor(colour)
    .expr(expr.text)
    .titleFormat(title)
    .step('60s')
    .useValueForTime(valueIsTime);

function panelOf(spec: PanelSpec, id: number, at: dashboard.GridPos): Builder<dashboard.Panel> {
  const panel = looks(spec)
    .id(id)
    .gridPos(at)
    .title(spec.title)
    .description(spec.description)
    .datasource(SOURCE)
    .unit(spec.unit)
    .noValue(spec.emptyWhen ?? 'no data')
    .targets(spec.queries.map(target))
    .overrides([
      ...Object.entries(spec.colours ?? {}).map(([legend, fixedColor]) => ({
        matcher: { id: 'byName', options: legend },
        properties: [{ id: 'color', value: { mode: 'fixed', fixedColor } }],
      })),
      ...spec.queries.flatMap(({ rightAxis }, i) =>
        rightAxis === undefined
          ? []
          : [
              {
                matcher: { id: 'byFrameRefID', options: refId(i) },
                properties: [
                  { id: 'unit', value: rightAxis },
                  { id: 'custom.axisPlacement', value: 'right' },
                  { id: 'custom.lineStyle', value: { fill: 'dash', dash: [6, 4] } },
                  { id: 'custom.fillOpacity', value: 0 },
                ],
              },
            ],
      ),
    ]);
  if (spec.decimals !== undefined) panel.decimals(spec.decimals);
  if (spec.min !== undefined) panel.min(spec.min);
  if (spec.max !== undefined) panel.max(spec.max);
  if (spec.linksTo) {
    panel.links([
      new dashboard.DashboardLinkBuilder(`Why: ${spec.linksTo}`)
        .type(dashboard.DashboardLinkType.Link)
        .url(`/d/${uidOf(spec.linksTo)}?\${__url_time_range}&\${__all_variables}`),
    ]);
  }
  return panel;
}

const refId = (i: number): string => String.fromCharCode('A'.charCodeAt(0) + i);

function target({ expr, legend, instant }: Query, i: number): Builder<prometheus.Dataquery> {
  const query = new prometheus.DataqueryBuilder().refId(refId(i)).expr(expr.text).legendFormat(legend);
  return instant ? query.instant() : query.range();
}

/** What differs between the kinds of panels. */
function looks(spec: PanelSpec) {
  switch (spec.kind) {
    case 'stat':
      return new stat.PanelBuilder()
        .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(['lastNotNull']).fields('').values(false))
        .colorMode(common.BigValueColorMode.Value)
        .graphMode(
          spec.queries.every(({ instant }) => instant)
            ? common.BigValueGraphMode.None
            : common.BigValueGraphMode.Area,
        )
        .textMode(common.BigValueTextMode.Auto)
        .mappings(NOTHING_HAPPENED)
        .orientation(common.VizOrientation.Auto)
        .colorScheme(byThreshold())
        .thresholds(thresholds(spec));
    case 'bars':
      return new bargauge.PanelBuilder()
        .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(['lastNotNull']).fields('').values(false))
        .displayMode(common.BarGaugeDisplayMode.Basic)
        .mappings(NOTHING_HAPPENED)
        .orientation(common.VizOrientation.Horizontal)
        .colorScheme(byThreshold())
        .thresholds(thresholds(spec));
    case 'states':
      return new statetimeline.PanelBuilder()
        .mergeValues(true)
        .showValue(common.VisibilityMode.Auto)
        .rowHeight(0.8)
        .fillOpacity(80)
        .lineWidth(0)
        .mappings(words(spec))
        .legend(new common.VizLegendOptionsBuilder().showLegend(false))
        .colorScheme(byThreshold())
        .thresholds(thresholds(spec));
    case 'lines': {
      const lines = new timeseries.PanelBuilder()
        .lineWidth(spec.stacked ? 1 : 2)
        .fillOpacity(spec.stacked ? 40 : 6)
        .showPoints(common.VisibilityMode.Never)
        .axisSoftMin(0)
        .legend(
          new common.VizLegendOptionsBuilder()
            .showLegend(true)
            .displayMode(common.LegendDisplayMode.List)
            .placement(common.LegendPlacement.Bottom),
        )
        .tooltip(
          new common.VizTooltipOptionsBuilder()
            .mode(common.TooltipDisplayMode.Multi)
            .sort(common.SortOrder.Descending),
        )
        .colorScheme(new dashboard.FieldColorBuilder().mode(dashboard.FieldColorModeId.PaletteClassicByName))
        .thresholds(thresholds(spec))
        .thresholdsStyle(
          new common.GraphThresholdsStyleConfigBuilder().mode(
            spec.limits ? common.GraphThresholdsStyleMode.Dashed : common.GraphThresholdsStyleMode.Off,
          ),
        );
      return spec.stacked
        ? lines.stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal))
        : lines;
    }
  }
}

/** A share of nothing is not a number: the page had no requests, or there were no writes. */
const NOTHING_HAPPENED: dashboard.ValueMapping[] = [
  {
    type: dashboard.MappingType.SpecialValue,
    options: { match: dashboard.SpecialValueMatch.NotANumber, result: { text: 'idle', color: 'text' } },
  },
];

const byThreshold = () => new dashboard.FieldColorBuilder().mode(dashboard.FieldColorModeId.Thresholds);

function thresholds({ limits, words }: PanelSpec): Builder<dashboard.ThresholdsConfig> {
  const step = (color: string, value: number | null) => ({ color, value });
  const { warn, bad, higherIsBetter } = limits ?? {
    bad: words ? 1 : Number.NaN,
    higherIsBetter: words?.good === 1,
  };
  const steps = Number.isNaN(bad)
    ? [step('text', null)]
    : higherIsBetter
      ? [step(BAD, null), ...(warn === undefined ? [] : [step(WARN, bad)]), step(GOOD, warn ?? bad)]
      : [step(GOOD, null), ...(warn === undefined ? [] : [step(WARN, warn)]), step(BAD, bad)];
  return new dashboard.ThresholdsConfigBuilder().mode(dashboard.ThresholdsMode.Absolute).steps(steps);
}

function words({ words }: PanelSpec): dashboard.ValueMapping[] {
  if (!words) return [];
  const colour = (value: 0 | 1) => (words.good === value ? GOOD : BAD);
  return [
    {
      type: dashboard.MappingType.ValueToText,
      options: { 0: { text: words[0], color: colour(0) }, 1: { text: words[1], color: colour(1) } },
    },
  ];
}
