import { raw } from 'hono/html';
import type { Html } from './layout.ts';

/** Paper, two shades and an accent, chosen to sit well beside brand colours. */
const PALETTES: ReadonlyArray<readonly [string, string, string, string]> = [
  ['#f4e3c8', '#d8673f', '#2f3e63', '#f0b03f'],
  ['#dce8e4', '#2a6f6b', '#e58a5a', '#173f45'],
  ['#e7def0', '#5c2a72', '#e3a13b', '#b5688f'],
  ['#f6dcd3', '#b23a48', '#33415c', '#f2a65a'],
  ['#dbe6f2', '#31558c', '#d98e5f', '#13294b'],
  ['#e9ead0', '#566b2f', '#c9663d', '#24391f'],
  ['#f7e9ee', '#8e3b62', '#38648a', '#eab05a'],
  ['#e2e0da', '#3c3a44', '#c4563f', '#7f8a68'],
];

/** mulberry32: small, and the same everywhere. */
function dice(seed: number): (sides: number) => number {
  let state = (seed * 2654435761) >>> 0;
  return (sides) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % sides;
  };
}

/** One cell of 10 × 10 at x, y. */
function shape(kind: number, x: number, y: number, fill: string): string {
  switch (kind) {
    case 0:
      return `<circle cx="${x + 5}" cy="${y + 5}" r="5" fill="${fill}"/>`;
    case 1:
      return `<path d="M${x} ${y}h10a10 10 0 0 1-10 10z" fill="${fill}"/>`;
    case 2:
      return `<path d="M${x + 10} ${y}v10H${x}a10 10 0 0 1 10-10z" fill="${fill}"/>`;
    case 3:
      return `<path d="M${x} ${y + 10}a10 10 0 0 1 10-10v10z" fill="${fill}"/>`;
    case 4:
      return `<path d="M${x} ${y + 10}V${y}l10 10z" fill="${fill}"/>`;
    case 5:
      return `<path d="M${x} ${y}h10v5a5 5 0 0 1-10 0z" fill="${fill}"/>`;
    case 6:
      return `<path d="M${x} ${y}h10v10H${x}z" fill="${fill}"/>`;
    default:
      return `<circle cx="${x + 5}" cy="${y + 5}" r="2.500" fill="${fill}"/>`;
  }
}

/**
 * A picture for a gig that has none: tiles chosen by its id, the same at every visit. Decoration, hidden from
 * screen readers.
 */
export function art(seed: number, columns: number, rows: number): Html {
  const roll = dice(seed);
  const [paper, ...inks] = PALETTES[roll(PALETTES.length)]!;
  let tiles = '';
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      // Some cells stay empty: the eye needs the paper.
      const kind = roll(10);
      if (kind < 8) tiles += shape(kind, x * 10, y * 10, inks[roll(3)]!);
    }
  }
  const [width, height] = [columns * 10, rows * 10];
  return raw(
    `<svg class="art" viewBox="0 0 ${width} ${height}" preserveAspectRatio="xMidYMid slice" aria-hidden="true" focusable="false"><path fill="${paper}" d="M0 0h${width}v${height}H0z"/>${tiles}</svg>`,
  );
}
