/**
 * The plots, as SVG text. Only two kinds of chart are needed, and libraries that draw them (Vega-Lite, Observable Plot)
 * bring a DOM and ten megabytes, so they are drawn here. Pure.
 */

import { html, raw } from 'hono/html';
import { PAGE_NAMES } from '#contracts/pages.ts';
import { type Results, type Run, spread } from './results.ts';
import { CONDITIONS_IN_WORDS } from './tables.ts';
import { CONDITION_NAMES, VARIANT_NAMES, type VariantName } from './variants.ts';

// People who see few colours can distinguish them too, and each row has a label in words.
const COLOURS: Readonly<Record<VariantName, string>> = {
  off: '#767676',
  serial: '#b3540a',
  parallel: '#a2790a',
  hybrid: '#1f6fb2',
  asynchronous: '#0f7b52',
};
const OUTCOMES = { full: '#0f7b52', stale: '#d8a520', missing: '#b3b3b3', error: '#b3261e' } as const;

const LABELS = 190;
const WIDTH = 820;
const ROW = 20;
const HEAD = 46;
const PLOT = WIDTH - LABELS - 30;

export interface Mark {
  readonly value: number;
  readonly min: number;
  readonly max: number;
}
export interface DotRow {
  readonly label: string;
  readonly colour: string;
  readonly marks: readonly Mark[];
}
interface Group<Row> {
  readonly label: string;
  readonly rows: readonly Row[];
}

type Markup = ReturnType<typeof html>;

/** Powers of ten and their halves that enclose the values. Exported for its spec. */
export function logTicks(least: number, greatest: number): number[] {
  const ticks: number[] = [];
  for (let power = Math.floor(Math.log10(least)); power <= Math.ceil(Math.log10(greatest)); power++) {
    for (const factor of [1, 2, 5]) ticks.push(Number((factor * 10 ** power).toPrecision(1)));
  }
  const from = ticks.findLastIndex((tick) => tick <= least);
  const to = ticks.findIndex((tick) => tick >= greatest);
  return ticks.slice(Math.max(0, from), to === -1 ? undefined : to + 1);
}

function frame(title: string, rows: number, groups: number, body: readonly Markup[]): string {
  const height = HEAD + rows * ROW + groups * 26 + 12;
  const style =
    'text{font:12px system-ui,sans-serif;fill:#222}.t{font-size:15px;font-weight:600}.g{font-weight:600}.a{fill:#555;font-size:11px}line{stroke:#ddd}';
  return String(
    html`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${title}"><style>${raw(style)}</style><rect width="${WIDTH}" height="${height}" fill="#fff"/><text class="t" x="8" y="20">${title}</text>${body}</svg>\n`,
  );
}

/** Dots on a logarithmic axis: each row has several values, each with a line from its minimum to its maximum. */
export function dotChart(title: string, groups: readonly Group<DotRow>[]): string {
  const marks = groups.flatMap(({ rows }) => rows.flatMap((row) => row.marks));
  if (marks.length === 0) return frame(`${title}: not measured`, 0, 0, []);
  const least = Math.max(0.01, Math.min(...marks.map((mark) => mark.min)));
  const ticks = logTicks(least, Math.max(...marks.map((mark) => mark.max), least * 2));
  const [low, high] = [Math.log(ticks[0]!), Math.log(ticks.at(-1)!)];
  const x = (value: number) =>
    Number((LABELS + ((Math.log(Math.max(value, ticks[0]!)) - low) / (high - low)) * PLOT).toFixed(1));
  const rows = groups.reduce((sum, group) => sum + group.rows.length, 0);
  const bottom = HEAD + rows * ROW + groups.length * 26;
  const body: Markup[] = ticks.map(
    (tick) =>
      html`<line x1="${x(tick)}" x2="${x(tick)}" y1="${HEAD - 6}" y2="${bottom}"/><text class="a" x="${x(tick)}" y="${HEAD - 10}" text-anchor="middle">${tick}</text>`,
  );
  let y = HEAD;
  for (const group of groups) {
    y += 18;
    body.push(html`<text class="g" x="8" y="${y}">${group.label}</text>`);
    y += 8;
    for (const row of group.rows) {
      const middle = y + ROW / 2;
      body.push(html`<text x="20" y="${middle + 4}">${row.label}</text>`);
      row.marks.forEach((mark, index) => {
        body.push(
          html`<line x1="${x(mark.min)}" x2="${x(mark.max)}" y1="${middle}" y2="${middle}" style="stroke:${row.colour};stroke-width:2"/><circle cx="${x(mark.value)}" cy="${middle}" r="${6 - index}" fill="${row.colour}" fill-opacity="${1 - index * 0.18}"/>`,
        );
      });
      y += ROW;
    }
  }
  return frame(title, rows, groups.length, body);
}

export interface BarRow {
  readonly label: string;
  /** Parts of the whole, each 0 to 1. */
  readonly parts: readonly { readonly value: number; readonly colour: string }[];
}

/** Bars whose parts add up to one. */
export function partChart(title: string, groups: readonly Group<BarRow>[]): string {
  const rows = groups.reduce((sum, group) => sum + group.rows.length, 0);
  const body: Markup[] = [];
  let y = HEAD - 16;
  for (const group of groups) {
    y += 18;
    body.push(html`<text class="g" x="8" y="${y}">${group.label}</text>`);
    y += 8;
    for (const row of group.rows) {
      body.push(html`<text x="20" y="${y + ROW / 2 + 4}">${row.label}</text>`);
      let x = LABELS;
      for (const { value, colour } of row.parts) {
        const width = value * PLOT;
        if (width > 0)
          body.push(
            html`<rect x="${x.toFixed(1)}" y="${y + 3}" width="${width.toFixed(1)}" height="${ROW - 6}" fill="${colour}"/>`,
          );
        x += width;
      }
      y += ROW;
    }
  }
  return frame(title, rows, groups.length, body);
}

const markOf = (values: readonly (number | null)[]): Mark[] => {
  const of = spread(values);
  return of === null ? [] : [{ value: of.median, min: of.min, max: of.max }];
};

function groupsOf<Row>(
  runs: readonly Run[],
  row: (variant: VariantName, runs: readonly Run[]) => Row,
): Group<Row>[] {
  return PAGE_NAMES.flatMap((page) => {
    const ofPage = runs.filter((run) => run.page === page);
    if (ofPage.length === 0) return [];
    const rows = VARIANT_NAMES.flatMap((variant) => {
      const of = ofPage.filter((run) => run.variant === variant);
      return of.length === 0 ? [] : [row(variant, of)];
    });
    return [{ label: page, rows }];
  });
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Names and SVG texts. */
export function plots({ runs, options }: Results): ReadonlyMap<string, string> {
  const healthy = runs.filter((run) => run.condition === 'healthy' && run.share === options.shares[0]);
  const dots = (title: string, of: readonly Run[], values: ((run: Run) => number | null)[]) =>
    dotChart(
      title,
      groupsOf(of, (variant, some) => ({
        label: variant,
        colour: COLOURS[variant],
        marks: values.flatMap((value) => markOf(some.map(value))),
      })),
    );
  const faults = CONDITION_NAMES.filter((one) => one !== 'healthy').flatMap((condition) =>
    groupsOf(
      runs.filter((run) => run.condition === condition && run.variant !== 'off'),
      (variant, of): BarRow => ({
        label: variant,
        parts: (['full', 'stale', 'missing', 'error'] as const).map((name) => ({
          value: mean(of.map((run) => run.outcomes[name])),
          colour: OUTCOMES[name],
        })),
      }),
    ).map((group) => ({ ...group, label: `${group.label}, ${CONDITIONS_IN_WORDS[condition]}` })),
  );
  return new Map([
    [
      'latency',
      dots('Latency of a render in ms: p50, p95, p99, p99.9 at the same rate', healthy, [
        (run) => run.latencyMs.p50,
        (run) => run.latencyMs.p95,
        (run) => run.latencyMs.p99,
        (run) => run.latencyMs.p999,
      ]),
    ],
    ['saturation', dots('Renders a second, at most', healthy, [(run) => run.saturationPerSecond])],
    [
      'cpu',
      dots('CPU seconds of page, source and PostgreSQL per 1,000 renders', healthy, [
        (run) =>
          run.cpuSecondsPerThousand.page +
          (run.cpuSecondsPerThousand.source ?? 0) +
          run.cpuSecondsPerThousand.postgres,
      ]),
    ],
    [
      'faults',
      partChart(
        'What renders show while something is wrong: full (green), stale, missing (grey), error',
        faults,
      ),
    ],
  ]);
}
