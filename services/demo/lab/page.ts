import { html, raw } from 'hono/html';
import { isolate } from '#pages/isolate.ts';
import type { Html, Site } from '#pages/layout.ts';
import { logo } from '#pages/top-clients-block.ts';
import type { ExamplePage } from '../../local-stack/example-pages.ts';
import type { ExampleStates } from '../examples.ts';
import { type Card, EXAMPLES, VARIANTS } from './cards.ts';
import { type Api, commandsToTry } from './commands.ts';
import { type Measured, type Measurements, RENDERS_KEPT } from './measurements.ts';
import { WATCHED } from './probe.ts';
import { labShell } from './shell.ts';
import { BREAKABLE, SLOWEST_MS, type Switches } from './switches.ts';
import { CONSEQUENCES, freshness, milliseconds, NAMES, OUTCOMES, stateOf, whyNotRunning } from './words.ts';

export interface LabView {
  readonly measurements: Measurements;
  readonly switches: Switches;
  /** The site for logos and links. */
  readonly site: Site;
  /** The address of a card's page for a browser. */
  readonly addressOf: (card: Card) => string;
  readonly examples: Readonly<ExampleStates>;
  readonly api: Api;
  readonly assets: { readonly site: string; readonly lab: string; readonly script: string };
  readonly sellers: number;
}

/** The parts that change while one looks: element id → HTML. The page consists of them, and updates replace them. */
export function fragments(view: LabView): Record<string, string> {
  const { measurements, switches } = view;
  const scale = sharedScale(measurements);
  const parts: Record<string, Html | ''> = {
    'state-top-clients': pill(switches, 'top-clients'),
    'write-result': writeResult(measurements),
    announcement: announcement(view),
  };
  for (const target of BREAKABLE.slice(1)) parts[`state-${target}`] = pill(switches, target);
  for (const { name } of VARIANTS) {
    parts[`numbers-${name}`] = numbers(measurements.cards[name], measurements, scale);
    parts[`preview-${name}`] = preview(measurements.cards[name], view.site);
  }
  for (const card of EXAMPLES) parts[`example-${card.name}`] = example(card, view, scale);
  return Object.fromEntries(Object.entries(parts).map(([id, part]) => [id, part.toString()]));
}

export function labPage(view: LabView): string {
  const { site, assets } = view;
  const live = fragments(view);
  // `html` has escaped every part when it became a fragment.
  const part = (id: string) => raw(live[id]!);
  return labShell({
    title: 'The lab',
    description:
      'The same page under every delivery, side by side, with switches to break what it depends on.',
    styles: [assets.site, assets.lab],
    script: assets.script,
    refreshSeconds: 3,
    nav: html`<a href="#deliveries">Deliveries</a><a href="/metrics-lab">Metrics</a><a href="#pages">Pages</a><a href="#api">API</a>` as Html,
    main: html`<div class="lab-intro">
<h1>One page, five ways to get its data</h1>
<p>The page of gig ${WATCHED.gigId} names the brands its seller has worked with. Here it is five times, from one database. Break the <strong>source of truth</strong>, which owns that list, and watch what becomes of each.</p>
</div>

<section class="bench card" aria-labelledby="source">
<div class="bench-head">
<h2 id="source">Source of truth</h2>
<span class="state" id="state-top-clients">${part('state-top-clients')}</span>
</div>
<div class="bench-row">
${button('top-clients', 'kill', 'Kill it', 'danger')}
<form method="post" action="/lab/switches" class="slow">
<input type="hidden" name="target" value="top-clients">
<label for="delay">Slow it by</label>
<input id="delay" name="delayMs" type="number" inputmode="numeric" min="1" max="${SLOWEST_MS}" step="1" value="100" required>
<span aria-hidden="true">ms</span>
<button class="secondary" name="action" value="slow" aria-label="Slow the source by that many milliseconds">Slow</button>
</form>
${button('top-clients', 'restore', 'Restore it', 'secondary')}
<form method="post" action="/lab/writes" class="write"><button>Write now</button></form>
</div>
<p class="write-result" id="write-result">${part('write-result')}</p>
<details class="parts">
<summary>Break something else</summary>
<ul class="plain">
${BREAKABLE.slice(1).map(
  (target) => html`<li>
<div class="parts-text"><strong>${NAMES[target]}</strong> <span class="state" id="state-${target}">${part(`state-${target}`)}</span><p class="quiet small">${CONSEQUENCES[target as keyof typeof CONSEQUENCES]}</p></div>
<div class="parts-buttons">${button(target, 'kill', 'Kill', 'danger', NAMES[target])}${button(target, 'restore', 'Restore', 'secondary', NAMES[target])}</div>
</li>`,
)}
</ul>
</details>
<p class="problem" id="problem" role="alert"></p>
</section>
<p class="hidden" role="status" id="announcement">${part('announcement')}</p>

<section id="deliveries" aria-labelledby="deliveries-title">
<h2 id="deliveries-title" class="hidden">The deliveries</h2>
<ul class="plain deliveries">
${VARIANTS.map(
  (variant) => html`<li class="card delivery${variant.name === 'asynchronous' ? ' chosen' : ''}">
<h3>${variant.title}${variant.name === 'asynchronous' ? html` <span class="default">the default</span>` : ''}</h3>
<div class="numbers" id="numbers-${variant.name}">${part(`numbers-${variant.name}`)}</div>
<div class="preview" id="preview-${variant.name}">${part(`preview-${variant.name}`)}</div>
<p class="effect">${variant.effect}</p>
<a class="open" href="${view.addressOf(variant)}">Open this page<span class="hidden">: ${variant.title}</span></a>
</li>`,
)}
</ul>
<p class="quiet small">Each page is rendered a few times a second, renders of gig ${WATCHED.gigId} interleaved with those of gigs that visitors ask for. Times are those of the last ${RENDERS_KEPT} renders, and all curves share one scale. A page calls the source for at most 150 ms; when calls keep failing, its circuit breaker keeps them away and lets one through now and then. To slow the source, answers to pages are held back on their way; what you send to <a href="${view.api.source}/v1/openapi.json">its own address</a> stays quick.</p>
</section>

<section aria-labelledby="examples">
<h2 id="examples">Pages of somebody else</h2>
<p>Each is a program of its own, with a database of its own in which a projector keeps the lists, as it would be with a page of yours.</p>
<ul class="plain deliveries examples">
${EXAMPLES.map(
  ({ name, title }) => html`<li class="card delivery">
<h3>${title}</h3>
<div class="example" id="example-${name}">${part(`example-${name}`)}</div>
</li>`,
)}
</ul>
</section>

<section class="rules" aria-labelledby="rules">
<h2 id="rules">Three rules, whatever breaks</h2>
<ol class="plain">
<li class="card"><h3>The seller sees the truth</h3><p>The seller’s own view reads and writes at the source. If it is down, that view says so: an old list would be a lie.</p></li>
<li class="card"><h3>Everybody else may lag</h3><p>Other pages may show the list a moment late. We measure that moment: press <em>Write now</em>.</p></li>
<li class="card"><h3>The page comes first</h3><p>The source never costs a page its availability. Without the data, the page renders without it, in time.</p></li>
</ol>
</section>

<section id="pages" aria-labelledby="pages-title">
<h2 id="pages-title">The pages</h2>
<ul class="plain links">
${pages(site).map(
  ({ title, about, links }) =>
    html`<li class="card"><h3>${title}</h3><p>${about}</p><ul>${links.map(([label, href]) => html`<li><a href="${href}">${label}</a></li>`)}</ul></li>`,
)}
</ul>
</section>

<section id="api" aria-labelledby="api-title" class="api">
<h2 id="api-title">From a terminal</h2>
<p>The issuer signs in anybody as any seller, which is good for a demonstration and nothing else. Its tokens are real: ES256, checked against <a href="${view.api.issuer}/.well-known/jwks.json">its keys</a>.</p>
<pre tabindex="0" aria-label="Commands to try"><code>${commandsToTry(view.api)}</code></pre>
</section>` as Html,
    footer: `Brandmarkt is a demonstration marketplace. Its ${view.sellers.toLocaleString('en')} sellers are invented; brand names and logos belong to their owners.`,
  });
}

function button(target: string, action: 'kill' | 'restore', label: string, look: string, of?: string): Html {
  return html`<form method="post" action="/lab/switches"><input type="hidden" name="target" value="${target}"><button class="${look}" name="action" value="${action}">${label}${of ? html`<span class="hidden"> ${of}</span>` : ''}</button></form>` as Html;
}

function pill(switches: Switches, target: (typeof BREAKABLE)[number]): Html {
  const { text, tone } = stateOf(switches, target);
  return html`<span class="pill ${tone}">${text}</span>` as Html;
}

function writeResult({ lastWrite }: Measurements): Html {
  return html`${lastWrite ?? 'Write now moves a client of seller 1 to the end of the list, through the source; each card then tells after how long it shows that.'}` as Html;
}

/** Screen readers read this aloud, so it says only what matters: how the source is, and which pages lack the data. */
function announcement({ measurements, switches, examples }: LabView): Html {
  const running = EXAMPLES.filter(({ name }) => examples[name].state === 'running');
  const without = [...VARIANTS, ...running].filter(({ name }) =>
    ['missing', 'stale', 'unreachable'].includes(measurements.cards[name].outcome ?? ''),
  );
  const { text } = stateOf(switches, 'top-clients');
  return html`The source of truth is ${text}. ${without.length === 0 ? 'All pages are complete.' : html`Not complete: ${without.map(({ title }) => title).join('; ')}.`}` as Html;
}

function numbers(measured: Measured, { truth }: Measurements, scale: number): Html {
  const { renders, calls, outcome, write } = measured;
  const [median, high] = [renders.quantile(0.5), renders.quantile(0.95)];
  return html`<p class="latency"><strong>${median === null ? '–' : milliseconds(median)}</strong> <span class="quiet">p95 ${high === null ? '–' : milliseconds(high)}</span></p>
${curve(renders.values, scale)}
<dl class="facts">
<div><dt>Data</dt><dd>${outcome === null ? '–' : html`<span class="pill ${TONES[outcome]}">${OUTCOMES[outcome]}</span>`}</dd></div>
<div><dt>Version shown</dt><dd>${freshness(measured, truth)}</dd></div>
<div><dt>Calls a render</dt><dd>${calls.value === null ? '–' : calls.value.toFixed(2)}</dd></div>
<div><dt>Last write shown</dt><dd>${write === null ? '–' : writeSeen(write)}</dd></div>
</dl>` as Html;
}

const TONES = { full: 'good', missing: 'bad', stale: 'odd', off: 'neutral', unreachable: 'bad' } as const;

function writeSeen(write: NonNullable<Measured['write']>): string {
  switch (write.kind) {
    case 'waiting':
      return 'waiting …';
    case 'shown':
      return `after ${milliseconds(write.afterMs)}`;
    case 'not shown':
      return `not within ${milliseconds(write.withinMs)}`;
  }
}

/** What is measured of a page of somebody else, or why it does not run. */
function example(card: Card<ExamplePage>, view: LabView, scale: number): Html {
  const { name, title, effect } = card;
  const at = view.examples[name];
  const about = html`<p class="effect">${effect}</p>`;
  if (at.state !== 'running') return html`<p class="mini-none">${whyNotRunning(at)}</p>${about}` as Html;
  const measured = view.measurements.cards[name];
  return html`<div class="numbers">${numbers(measured, view.measurements, scale)}</div>
<div class="preview">${preview(measured, view.site)}</div>
${about}
<a class="open" href="${view.addressOf(card)}">Open this page<span class="hidden">: ${title}</span></a>` as Html;
}

const POINTS = 60;
const [WIDTH, HEIGHT] = [120, 32];
/** The least end of the scale, so that jitter of a millisecond does not look like a mountain. */
const LOWEST_SCALE_MS = 25;

/** The top of every curve, in ms; nearly all renders are below it. */
function sharedScale({ cards }: Measurements): number {
  const highs = Object.values<Measured>(cards).map(({ renders }) => renders.quantile(0.95) ?? 0);
  return Math.max(LOWEST_SCALE_MS, ...highs) * 1.15;
}

function curve(values: readonly number[], scale: number): Html {
  const shown = values.slice(-POINTS);
  const y = (ms: number) => (HEIGHT - (Math.min(ms, scale) / scale) * (HEIGHT - 2) - 1).toFixed(1);
  const x = (index: number) => (((index + POINTS - shown.length) / (POINTS - 1)) * WIDTH).toFixed(1);
  const points = shown.map((ms, index) => `${x(index)} ${y(ms)}`);
  const line = points.length > 1 ? `M${points.join('L')}` : '';
  const area = line && `${line}L${WIDTH} ${HEIGHT}L${x(0)} ${HEIGHT}z`;
  return html`<svg class="curve" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" aria-hidden="true" focusable="false"><path class="area" d="${area}"/><path class="line" d="${line}"/></svg>` as Html;
}

const PREVIEWED = 6;

/** A small preview of the page: its own part, and the top clients as they were rendered. */
function preview({ outcome, clients }: Measured, site: Site): Html {
  const shown = clients.slice(0, PREVIEWED);
  const rest = clients.length - shown.length;
  const block =
    shown.length > 0
      ? html`<div class="mini-block"><p class="mini-title">Trusted by</p><ul class="plain">${shown.map((client) => html`<li>${logo(client, site, 'small')}<span>${isolate(client.name)}</span></li>`)}</ul>${rest > 0 ? html`<p class="quiet mini-rest">and ${rest} more</p>` : ''}</div>`
      : html`<p class="mini-none">${NOTHING[outcome ?? 'full']}</p>`;
  const whole = outcome !== 'unreachable';
  return html`${whole ? html`<div class="mini-page" aria-hidden="true"><span></span><span></span><span></span></div>` : ''}${block}` as Html;
}

const NOTHING: Readonly<Record<NonNullable<Measured['outcome']>, string>> = {
  full: 'The seller has no clients.',
  missing: 'The page is whole, without the block.',
  stale: 'The page is whole, without the block.',
  off: 'The page without the feature.',
  unreachable: 'The page did not answer.',
};

function pages(site: Site): { title: string; about: string; links: [label: string, href: string][] }[] {
  return [
    {
      title: 'Gig',
      about: 'What a buyer orders.',
      links: [
        ['With eight clients', site.gig(1)],
        ['Without clients', site.gig(2)],
        ['With twenty clients', site.gig(3)],
        ['Names as long as can be', site.gig(4)],
        ['Names that look like HTML', site.gig(5)],
        ['Names in other scripts', site.gig(6)],
      ],
    },
    {
      title: 'User',
      about: 'A seller’s profile, with the story of each client.',
      links: [
        ['Seller 1', site.user(1)],
        ['Seller 3', site.user(3)],
        ['Seller 2, without clients', site.user(2)],
      ],
    },
    {
      title: 'Search',
      about: '48 cards, each with its seller’s clients, from one query.',
      links: [
        ['Everything', site.search()],
        ['“logo”', site.search('logo')],
        ['“video”, second page', site.search('video', 2)],
      ],
    },
    {
      title: 'Self-view',
      about: 'Where a seller edits the list. One button signs you in.',
      links: [
        ['As seller 1', site.selfView(1)],
        ['As seller 2, from an empty list', site.selfView(2)],
        ['As seller 3, with a full list', site.selfView(3)],
      ],
    },
  ];
}
