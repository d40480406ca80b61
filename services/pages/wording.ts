import { html, raw } from 'hono/html';
import type { Html } from './layout.ts';
import type { PageClient, SellerLevel } from './page.ts';

/** `1,234`. Most numbers are small, and do not need the machinery of a locale. */
export const count = (value: number): string =>
  value < 1_000 ? String(value) : value.toLocaleString('en-US');

/** `$95`, or `$95.50` where there are cents. */
export const money = (cents: number): string =>
  cents % 100 === 0 ? `$${count(cents / 100)}` : `$${(cents / 100).toFixed(2)}`;

export const LEVELS: Readonly<Record<SellerLevel, string>> = {
  new: 'New seller',
  rising: 'Rising talent',
  expert: 'Expert',
  master: 'Master',
};

/** `2021–2023`, `since 2021`, `until 2023`, or nothing. */
export function years({ from, to }: Pick<PageClient, 'from' | 'to'>): string {
  const [first, last] = [from?.slice(0, 4), to?.slice(0, 4)];
  if (first && last) return first === last ? first : `${first}–${last}`;
  if (first) return `since ${first}`;
  return last ? `until ${last}` : '';
}

export const plural = (amount: number, one: string, many: string): string =>
  `${count(amount)} ${amount === 1 ? one : many}`;

const STAR = raw(
  '<svg class="star" viewBox="0 0 20 20" width="16" height="16" aria-hidden="true"><path d="m10 1.800 2.550 5.200 5.750.800-4.150 4.050 1 5.700L10 14.850l-5.150 2.700 1-5.700L1.700 7.800l5.750-.800z"/></svg>',
);

/** A star, the rating and how many gave one; `No reviews yet` for a seller nobody rated. */
export const ratingLine = (rating: number, reviews: number): Html =>
  reviews === 0
    ? (html`<span class="rating">No reviews yet</span>` as Html)
    : (html`<span class="rating">${STAR}<b>${rating.toFixed(1)}</b> <span class="quiet">(${count(reviews)}<span class="hidden"> reviews</span>)</span></span>` as Html);

const MONTHS = [
  ...['January', 'February', 'March', 'April', 'May', 'June'],
  ...['July', 'August', 'September', 'October', 'November', 'December'],
];

/** `2026-03` as `March 2026` */
export const monthAndYear = (month: string): string =>
  `${MONTHS[Number(month.slice(5, 7)) - 1] ?? ''} ${month.slice(0, 4)}`;

/** Paragraphs of plain text, separated by empty lines. */
export const paragraphs = (text: string): Html =>
  html`${text.split(/\n\s*\n/).map((paragraph) => html`<p dir="auto">${paragraph}</p>`)}` as Html;
