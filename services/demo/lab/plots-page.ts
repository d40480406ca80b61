import { html, raw } from 'hono/html';
import type { Html } from '#pages/layout.ts';
import { type Line, picture, SIZE, scaleOf } from './plot-picture.ts';
import { inWords, legendOf } from './plot-words.ts';
import { PLOTS, type Plot } from './plots.ts';
import {
  type Alert,
  alerts,
  type Curve,
  curves,
  type MetricsState,
  type Span,
  silentTargets,
} from './prometheus-api.ts';
import { labShell } from './shell.ts';

const SPAN_S = 300;
const STEP_S = 3;
/** Viewers that ask within this time share one answer. */
const FRESH_MS = 1_500;
/** Most series of one plot: more would be noise, or a label with too many values. */
const MOST_LINES = 12;

/** The page's content, which its script fetches again and again. */
export interface PlotsState {
  /** Element id → HTML, escaped. */
  readonly fragments: Readonly<Record<string, string>>;
  /** For the box at the pointer, by plot; `words` are in order of time, and the last one is now. */
  readonly values: Readonly<Record<string, readonly { label: string; look: string; words: string[] }[]>>;
  readonly stepS: number;
}

export interface Plots {
  now(): Promise<PlotsState>;
}

interface Looked {
  readonly drawn: ReadonlyMap<Plot, readonly Line[]>;
  readonly alerts: readonly Alert[];
  readonly silent: readonly string[];
  /** Why there is nothing newer; null when there is no problem. */
  readonly problem: string | null;
}

/** @param metrics the state of Prometheus, read at each look */
export function openPlots(metrics: () => MetricsState): Plots {
  let last: Looked = { drawn: new Map(), alerts: [], silent: [], problem: null };
  let lookedAt = Number.NEGATIVE_INFINITY;
  let looking: Promise<void> | undefined;

  async function look(): Promise<void> {
    const state = metrics();
    if (state.state !== 'running') {
      const problem =
        state.state === 'starting'
          ? 'Prometheus is starting.'
          : `There are no metrics to see: ${state.why}, and start the demo again.`;
      last = { ...last, problem };
      return;
    }
    const to = Math.floor(Date.now() / 1_000 / STEP_S) * STEP_S;
    const span: Span = { from: to - SPAN_S, to, step: STEP_S };
    try {
      const [drawn, ringing, silent] = await Promise.all([
        Promise.all(PLOTS.map(async (plot) => [plot, await linesOf(plot, state.url, span)] as const)),
        alerts(state.url),
        silentTargets(state.url),
      ]);
      last = { drawn: new Map(drawn), alerts: ringing, silent, problem: null };
    } catch (err) {
      last = { ...last, problem: `Prometheus does not answer: ${(err as Error).message}` };
    }
  }

  return {
    async now() {
      if (!looking && performance.now() - lookedAt > FRESH_MS) {
        looking = look().finally(() => {
          lookedAt = performance.now();
          looking = undefined;
        });
      }
      await looking;
      return stateOf(last);
    },
  };
}

async function linesOf(plot: Plot, url: string, span: Span): Promise<readonly Line[]> {
  const found = await Promise.all(plot.queries.map(({ expr }) => curves(url, expr.text, span)));
  return plot.queries
    .flatMap(({ legend }, index) =>
      found[index]!.map(({ labels, values }) => ({
        label: legendOf(legend, labels),
        look: `${lookOf(labels)}${index > 0 ? ' second' : ''}`,
        values,
      })),
    )
    .sort((a, b) => a.label.localeCompare(b.label))
    .slice(0, MOST_LINES);
}

/** The name of a look in the style sheet: the same meaning has the same colour in all plots. */
function lookOf(labels: Curve['labels']): string {
  const { outcome, result, page, delivery } = labels;
  const word = outcome ?? result ?? (page === 'gig' && delivery ? `gig-${delivery}` : page) ?? 'gig';
  return /^[a-z-]{1,30}$/.test(word) ? `is-${word}` : 'is-gig';
}

function stateOf(looked: Looked): PlotsState {
  const fragments: Record<string, Html | string> = {
    alerts: alertList(looked),
    silent: silentList(looked),
    'plots-problem': looked.problem === null ? '' : (html`${looked.problem}` as Html),
    'plots-announcement': announcement(looked),
  };
  for (const plot of PLOTS) {
    const lines = looked.drawn.get(plot) ?? [];
    const scale = scaleOf(plot, lines);
    fragments[`lines-${plot.id}`] = picture(scale, lines);
    fragments[`scale-${plot.id}`] = html`${scale.ticks.map(
      ({ y, word }) =>
        html`<text x="100%" y="${y.toFixed(1)}" dy="${y < 12 ? '0.75em' : '0.1em'}">${word}</text>`,
    )}` as Html;
    fragments[`legend-${plot.id}`] = legend(plot, lines);
    fragments[`values-${plot.id}`] = rows(plot, lines);
  }
  return {
    fragments: Object.fromEntries(Object.entries(fragments).map(([id, part]) => [id, part.toString()])),
    values: Object.fromEntries(
      PLOTS.map((plot) => [
        plot.id,
        (looked.drawn.get(plot) ?? []).map(({ label, look, values }) => ({
          label,
          look,
          words: values.map((value) => (value === null ? '–' : inWords(value, plot.unit))),
        })),
      ]),
    ),
    stepS: STEP_S,
  };
}

const now = ({ values }: Line): number | null => values.at(-1) ?? values.at(-2) ?? null;
const word = (value: number | null, plot: Plot): string => (value === null ? '–' : inWords(value, plot.unit));

function legend(plot: Plot, lines: readonly Line[]): Html {
  const limits = (plot.limits ?? []).map(
    ({ at, word }) => html`<li class="quiet">${swatch('limit')}${word} <b>${inWords(at, plot.unit)}</b></li>`,
  );
  if (lines.length === 0) return html`<li class="quiet">${plot.whenEmpty}</li>${limits}` as Html;
  return html`${lines.map((line) => html`<li>${swatch(line.look)}${line.label} <b>${word(now(line), plot)}</b></li>`)}${limits}` as Html;
}

const swatch = (look: string): Html =>
  html`<svg class="swatch" viewBox="0 0 22 10" aria-hidden="true" focusable="false"><line class="${look === 'limit' ? 'limit' : `curve-line ${look}`}" x1="0" x2="22" y1="5" y2="5"/></svg>` as Html;

function rows(plot: Plot, lines: readonly Line[]): Html {
  if (lines.length === 0) return html`<tr><td colspan="4">${plot.whenEmpty}</td></tr>` as Html;
  return html`${lines.map((line) => {
    const known = line.values.filter((value) => value !== null);
    return html`<tr><th scope="row">${line.label}</th><td>${word(now(line), plot)}</td><td>${word(Math.min(...known), plot)}</td><td>${word(Math.max(...known), plot)}</td></tr>`;
  })}` as Html;
}

const firing = ({ alerts }: Looked) => alerts.filter(({ state }) => state === 'firing');

function alertList(looked: Looked): Html {
  if (looked.alerts.length === 0) return html`<li><span class="pill good">none</span></li>` as Html;
  // A rule has several windows, and a page several deliveries: each sentence is shown once, with its gravest severity.
  const once = new Map(
    looked.alerts
      .toSorted((a, b) => b.state.localeCompare(a.state) || b.severity.localeCompare(a.severity))
      .map((alert) => [`${alert.name} ${alert.summary}`, alert] as const),
  );
  const ordered = [...once.values()].sort(
    (a, b) => a.state.localeCompare(b.state) || a.name.localeCompare(b.name),
  );
  return html`${ordered
    .slice(0, MOST_LINES)
    .map(
      ({ name, severity, state, summary }) =>
        html`<li><span class="pill ${state === 'pending' ? 'odd' : 'bad'}">${state === 'pending' ? 'soon' : 'fires'}</span> <strong>${name}</strong> <span class="quiet">${severity}</span> ${summary}</li>`,
    )}` as Html;
}

function silentList({ silent, drawn }: Looked): Html {
  if (drawn.size === 0) return html`<span class="pill">unknown</span>` as Html;
  if (silent.length === 0) return html`<span class="pill good">all answer</span>` as Html;
  return html`${silent.map((name) => html`<span class="pill bad">${name}</span> `)}` as Html;
}

/** Screen readers read this aloud, so it says only what matters. */
function announcement(looked: Looked): Html {
  const fires = [...new Set(firing(looked).map(({ name }) => name))];
  return html`${fires.length === 0 ? 'No alert fires.' : `Alerts that fire: ${fires.join(', ')}.`} ${looked.silent.length === 0 ? 'All processes answer.' : `Not answering: ${looked.silent.join(', ')}.`}` as Html;
}

export interface PlotsPageSettings {
  readonly assets: {
    readonly site: string;
    readonly lab: string;
    readonly plots: string;
    readonly script: string;
  };
  /** The address of Prometheus for a browser; null when there is none. */
  readonly prometheus: string | null;
}

/** The page. It is complete without its script, which only fetches newer values. */
export function plotsPage({ assets, prometheus }: PlotsPageSettings, { fragments }: PlotsState): string {
  // `html` has escaped every part when it became a fragment.
  const part = (id: string) => raw(fragments[id] ?? '');
  return labShell({
    title: 'Metrics · the lab',
    description: 'Consistency and availability of every page over the last five minutes.',
    styles: [assets.site, assets.lab, assets.plots],
    script: assets.script,
    refreshSeconds: 5,
    nav: html`<a href="/">The lab</a><a href="/metrics-lab" aria-current="page">Metrics</a>` as Html,
    main: html`<div class="lab-intro">
<h1>What the metrics say</h1>
<p>The last five minutes, from Prometheus, with the rules that would wake somebody. Break something in <a href="/">the lab</a>, in another window, and watch.${prometheus === null ? '' : html` To ask more: <a href="${prometheus}">Prometheus itself</a>.`}</p>
</div>
<p class="problem" id="plots-problem">${part('plots-problem')}</p>
<p class="hidden" role="status" id="plots-announcement">${part('plots-announcement')}</p>
<section class="card now" aria-labelledby="now-title">
<h2 id="now-title">Now</h2>
<dl class="now-facts">
<div><dt>Alerts</dt><dd><ul class="plain" id="alerts">${part('alerts')}</ul></dd></div>
<div><dt>Processes</dt><dd id="silent">${part('silent')}</dd></div>
</dl>
</section>
<section aria-label="Plots" class="plots">
${PLOTS.map((plot) => figure(plot, part))}
</section>` as Html,
    footer:
      'Values are taken every two seconds, and rates over 15 s. What a rule means and what to do about it: docs/runbooks.',
  });
}

function figure({ id, title, about, limits }: Plot, part: (id: string) => ReturnType<typeof raw>): Html {
  return html`<figure class="card plot" data-plot="${id}">
<figcaption><h2 id="title-${id}">${title}</h2><p class="quiet small">${about}</p></figcaption>
<div class="plot-picture">
<svg class="plot-scale" aria-hidden="true" focusable="false"><g id="scale-${id}">${part(`scale-${id}`)}</g></svg>
<div class="plot-area" tabindex="0" role="img" aria-labelledby="title-${id}" aria-describedby="legend-${id}">
<svg viewBox="0 0 ${SIZE.width} ${SIZE.height}" preserveAspectRatio="none" aria-hidden="true" focusable="false"><g id="lines-${id}">${part(`lines-${id}`)}</g><line class="cursor" x1="-9" x2="-9" y1="0" y2="${SIZE.height}"/></svg>
<div class="plot-tip" hidden></div>
</div>
<p class="plot-times" aria-hidden="true"><span>5 min ago</span><span>now</span></p>
</div>
<ul class="plain plot-legend" id="legend-${id}">${part(`legend-${id}`)}</ul>
<details><summary>As a table<span class="hidden">: ${title}</span></summary>
<div class="plot-table"><table><caption class="hidden">${title}, the last five minutes${limits ? `; ${limits.map(({ word }) => word).join(', ')} drawn as a line` : ''}</caption>
<thead><tr><th scope="col">Series</th><th scope="col">Now</th><th scope="col">Lowest</th><th scope="col">Highest</th></tr></thead>
<tbody id="values-${id}">${part(`values-${id}`)}</tbody></table></div></details>
</figure>` as Html;
}
