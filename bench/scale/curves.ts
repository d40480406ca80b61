/** The curves of docs/scale.md, as SVG text: two panels, what an event costs and how late it is. Pure. */
import { html, raw } from 'hono/html';
import { median } from '../report.ts';
import { type Axis, PROCESSES, type Process, type SteadyPoint, type SteadyRun, valueAt } from './results.ts';
import { AXIS_IN_WORDS, costOf, PROCESS_IN_WORDS } from './tables.ts';

// Distinguishable with few colours too; each line has its name beside it.
const COLOURS: Readonly<Record<Process | 'p50' | 'p99', string>> = {
  relay: '#0f7b52',
  projectors: '#1f6fb2',
  kafka: '#b3540a',
  source: '#6b4fa0',
  pages: '#a2790a',
  p50: '#0f7b52',
  p99: '#b3261e',
};

interface Line {
  readonly name: string;
  readonly colour: string;
  /** In the order of x; the values of each run. */
  readonly points: readonly { readonly x: number; readonly values: readonly number[] }[];
}
interface Panel {
  readonly title: string;
  readonly lines: readonly Line[];
}
type Markup = ReturnType<typeof html>;

const WIDTH = 860;
const HEIGHT = 310;
const PANEL = { left: 48, width: 350, top: 56, bottom: 262, apart: 430 } as const;

/** The least of 1, 2 and 5 times a power of ten that is not below. Exported for its spec. */
export function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= value * (1 - 1e-9))!;
}

const short = (value: number) =>
  value >= 1e6 ? `${value / 1e6}M` : value >= 1e3 ? `${value / 1e3}k` : String(value);

function drawPanel({ title, lines }: Panel, offset: number): Markup[] {
  const { left, width, top, bottom } = PANEL;
  const xs = [...new Set(lines.flatMap(({ points }) => points.map(({ x }) => x)))].sort((a, b) => a - b);
  const most = roundUp(Math.max(...lines.flatMap(({ points }) => points.flatMap(({ values }) => values))));
  const [low, high] = [Math.log(xs[0]!), Math.log(xs.at(-1)!)];
  const round = (value: number) => Number(value.toFixed(1));
  const x = (value: number) =>
    round(offset + left + (high === low ? 0.5 : (Math.log(value) - low) / (high - low)) * width);
  const y = (value: number) => round(bottom - (value / most) * (bottom - top));
  const body: Markup[] = [html`<text class="g" x="${offset + 8}" y="42">${title}</text>`];
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    const at = y(share * most);
    body.push(
      html`<line x1="${offset + left}" x2="${offset + left + width}" y1="${at}" y2="${at}"/><text class="a" x="${offset + left - 6}" y="${at + 4}" text-anchor="end">${Number((share * most).toPrecision(3))}</text>`,
    );
  }
  for (const one of xs) {
    body.push(
      html`<text class="a" x="${x(one)}" y="${bottom + 16}" text-anchor="middle">${short(one)}</text>`,
    );
  }
  lines.forEach(({ name, colour, points }, index) => {
    const path = points.map((point) => `${x(point.x)},${y(median(point.values))}`).join(' ');
    const marks = points.map(
      ({ x: at, values }) =>
        html`<line x1="${x(at)}" x2="${x(at)}" y1="${y(Math.min(...values))}" y2="${y(Math.max(...values))}" style="stroke:${colour};stroke-width:2"/><circle cx="${x(at)}" cy="${y(median(values))}" r="3.5" fill="${colour}"/>`,
    );
    const legend = offset + left + index * (width / lines.length);
    body.push(
      html`<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="1.5"/>${marks}<circle cx="${legend}" cy="${bottom + 34}" r="4" fill="${colour}"/><text x="${legend + 8}" y="${bottom + 38}">${name}</text>`,
    );
  });
  return body;
}

export function curves(title: string, panels: readonly Panel[]): string {
  const style =
    'text{font:11px system-ui,sans-serif;fill:#222}.t{font-size:15px;font-weight:600}.g{font-weight:600}.a{fill:#555}line{stroke:#ddd}';
  return String(
    html`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${title}"><style>${raw(style)}</style><rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/><text class="t" x="8" y="20">${title}</text>${panels.map((panel, at) => drawPanel(panel, at * PANEL.apart))}</svg>\n`,
  );
}

/** The picture of an axis. */
export function axisCurves(axis: Axis, points: readonly SteadyPoint[]): string {
  const line = (name: string, colour: string, of: (run: SteadyRun, point: SteadyPoint) => number): Line => ({
    ...{ name, colour },
    points: points.map((point) => ({
      x: valueAt(axis, point.place),
      values: point.runs.map((run) => of(run, point)),
    })),
  });
  return curves(`${AXIS_IN_WORDS[axis]}`, [
    {
      title: 'CPU s per 100,000 events; of projector and page DB per page',
      lines: PROCESSES.map((process) =>
        line(PROCESS_IN_WORDS[process], COLOURS[process], (run, { place }) => costOf(process, run, place)),
      ),
    },
    {
      title: 'commit → visible, ms',
      lines: [
        line('p50', COLOURS.p50, (run) => run.latencyMs.p50),
        line('p99', COLOURS.p99, (run) => run.latencyMs.p99),
      ],
    },
  ]);
}
