/** Draws curves. Pure: from numbers to the inside of an SVG whose width is stretched and whose height is fixed. */

import { inWords } from './plot-words.ts';
import type { Plot } from './plots.ts';

export const SIZE = { width: 300, height: 150 } as const;
const ROOM_ABOVE = 6;

export interface Line {
  readonly label: string;
  /** Colour and dashes, by a name of the style sheet. */
  readonly look: string;
  readonly values: readonly (number | null)[];
}

/** Maps values to heights, 0 at the top. */
export interface Scale {
  y(value: number): number;
  readonly ticks: readonly { readonly y: number; readonly word: string }[];
  /** Limits within the picture; one far above the curves would press them flat. */
  readonly limits: readonly { readonly y: number; readonly at: number }[];
}

const LEAST: Readonly<Record<Plot['unit'], number>> = { seconds: 1, share: 1, 'a second': 1, count: 4 };

export function scaleOf({ unit, limits = [], scale }: Plot, lines: readonly Line[]): Scale {
  const all = lines.flatMap(({ values }) => values.filter((value) => value !== null));
  const highest = Math.max(0, ...all);
  if (scale === 'logarithmic') return logarithmic(all, limits, unit);
  const near = limits.filter(({ at }) => unit === 'share' || highest >= at / 3);
  const top = unit === 'share' ? 1 : roundUp(Math.max(LEAST[unit], highest, ...near.map(({ at }) => at)));
  const y = (value: number) => SIZE.height - (value / top) * (SIZE.height - ROOM_ABOVE);
  return {
    y,
    ticks: [0, top / 2, top].map((value) => ({ y: y(value), word: inWords(value, unit) })),
    limits: near.map(({ at }) => ({ y: y(at), at })),
  };
}

/** From a millisecond to at least a second, or to the largest value. */
function logarithmic(all: readonly number[], limits: NonNullable<Plot['limits']>, unit: Plot['unit']): Scale {
  const positive = all.filter((value) => value > 0);
  const low = Math.max(-6, Math.min(-3, Math.floor(Math.log10(Math.min(1, ...positive)))));
  const high = Math.max(0, Math.ceil(Math.log10(Math.max(1, ...positive, ...limits.map(({ at }) => at)))));
  const y = (value: number) => {
    const share = (Math.log10(Math.max(value, 10 ** low)) - low) / (high - low);
    return SIZE.height - share * (SIZE.height - ROOM_ABOVE);
  };
  const powers = Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index));
  return {
    y,
    ticks: powers.map((value) => ({ y: y(value), word: inWords(value, unit) })),
    limits: limits.map(({ at }) => ({ y: y(at), at })),
  };
}

/** Rounds up to 1, 2, 4, 6, 8 or 10 times a power of ten: its half is a short number too. */
export function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 6, 8, 10].map((step) => step * power).find((step) => step >= value * 0.9999)!;
}

/** The inside of the picture. It has only our own numbers and class names, so nothing needs escaping. */
export function picture(scale: Scale, lines: readonly Line[]): string {
  const across = (y: number, look: string) =>
    `<line class="${look}" x1="0" x2="${SIZE.width}" y1="${y.toFixed(1)}" y2="${y.toFixed(1)}"/>`;
  return [
    ...scale.ticks.map(({ y }) => across(y, 'tick')),
    ...scale.limits.map(({ y }) => across(y, 'limit')),
    ...lines.map(({ look, values }) => `<path class="curve-line ${look}" d="${path(values, scale)}"/>`),
  ].join('');
}

/** A missing value leaves a gap; a lone value becomes a dot as wide as the line. */
function path(values: readonly (number | null)[], scale: Scale): string {
  const parts: string[] = [];
  let open = false;
  values.forEach((value, index) => {
    if (value === null) {
      open = false;
      return;
    }
    const x = ((index / Math.max(1, values.length - 1)) * SIZE.width).toFixed(1);
    const at = `${x} ${scale.y(value).toFixed(1)}`;
    const alone = !open && (values[index + 1] ?? null) === null;
    parts.push(open ? `L${at}` : alone ? `M${at}h.1` : `M${at}`);
    open = true;
  });
  return parts.join('');
}
