import { html, raw } from 'hono/html';
import { LRUCache } from 'lru-cache';
import { isolatedText } from '#contracts/text.ts';
import { art } from '../art.ts';
import { compact } from '../compact.ts';
import { isolate } from '../isolate.ts';
import { type Html, layout, monogram, type Site } from '../layout.ts';
import type { ShownOf } from '../page.ts';
import { workedWith } from '../top-clients-block.ts';
import { NAMED_ON_A_CARD } from '../views/cards.ts';
import { count, LEVELS, money, ratingLine } from '../wording.ts';
import { CARDS_A_PAGE, type Card, COLUMNS, MOST_RESULTS, type SearchResults } from './read.ts';

export const SUGGESTIONS = [
  'logo design',
  'video editing',
  'web development',
  'translation',
  'illustration',
  'voice over',
];

/** A card, but for the line between its halves, which says whom the seller worked with. */
interface Halves {
  readonly card: Card;
  readonly before: string;
  readonly after: string;
}

/** In characters, of one byte each: some 3,000 cards. */
const MOST_CHARACTERS = 8_000_000;
/** Halves of cards by listing, rendered once and again when a column has changed. Nothing of a seller's clients is kept. */
const rendered = new WeakMap<Site, LRUCache<number, Halves>>();

const isSame = (one: Card, other: Card): boolean => COLUMNS.every((column) => one[column] === other[column]);

function halvesOf(card: Card, site: Site): Halves {
  let halves = rendered.get(site);
  if (halves === undefined) {
    halves = new LRUCache({
      maxSize: MOST_CHARACTERS,
      sizeCalculation: ({ before, after }) => before.length + after.length,
    });
    rendered.set(site, halves);
  }
  const known = halves.get(card.listing_id);
  if (known !== undefined && isSame(known.card, card)) return known;
  const made = { card, before: compact(String(upper(card, site))), after: compact(String(lower(card))) };
  halves.set(card.listing_id, made);
  return made;
}

const upper = (one: Card, site: Site): Html =>
  html`<li class="card result"><a class="cover" href="${site.gig(one.gig_id)}"><span class="picture">${art(one.gig_id, 6, 3)}</span><span class="result-title">${isolate(one.title)}</span></a><div class="result-by">${monogram(one.seller_name, one.seller_hue, 'small')}<span class="result-seller">${isolate(one.seller_name)}</span><span class="level">${LEVELS[one.seller_level]}</span></div>` as Html;

const lower = (one: Card): Html =>
  html`<p class="mini-facts"><span>${ratingLine(one.rating, one.reviews)}</span><span>from <b>${money(one.price_cents)}</b></span></p></li>` as Html;

function cards(all: readonly Card[], shown: ShownOf, site: Site): Html {
  let text = '';
  for (const card of all) {
    const { before, after } = halvesOf(card, site);
    text += before + workedWith(shown?.(card.seller_id), site, NAMED_ON_A_CARD) + after;
  }
  return raw(text);
}

const countOf = (results: SearchResults): string => {
  const many = results.total >= MOST_RESULTS ? `${count(MOST_RESULTS)}+` : count(results.total);
  return `${many} ${results.total === 1 ? 'service' : 'services'}`;
};

/** The pages around this one, the first and the last. */
function pages(results: SearchResults, site: Site): Html | '' {
  const last = Math.ceil(results.total / CARDS_A_PAGE);
  if (last < 2) return '';
  const { page, query } = results;
  const near = [...new Set([1, page - 1, page, page + 1, last])].filter((one) => one >= 1 && one <= last);
  return html`<nav class="pages" aria-label="Pages of results">${page > 1 ? html`<a class="button secondary" rel="prev" href="${site.search(query, page - 1)}">Previous</a>` : ''}<ol class="plain page-numbers">${near.map((one, i) => html`${i > 0 && one > near[i - 1]! + 1 ? html`<li aria-hidden="true">&hellip;</li>` : ''}<li>${one === page ? html`<span aria-current="page">${one}</span>` : html`<a href="${site.search(query, one)}"><span class="hidden">Page </span>${one}</a>`}</li>`)}</ol>${page < last ? html`<a class="button secondary" rel="next" href="${site.search(query, page + 1)}">Next</a>` : ''}</nav>` as Html;
}

const nothing = (results: SearchResults, site: Site): Html =>
  html`<div class="nothing card"><h2>Nothing found for &ldquo;${isolate(results.query)}&rdquo;</h2><p class="quiet">Try fewer or more common words, or one of these:</p><ul class="plain chips">${SUGGESTIONS.map((one) => html`<li><a href="${site.search(one)}">${one}</a></li>`)}</ul></div>` as Html;

/** The search page as HTML. */
export function searchHtml(results: SearchResults, shown: ShownOf, site: Site): string {
  const { query, page } = results;
  const title = query === '' ? 'Browse services' : `Results for ${isolatedText(query)}`;
  return layout(site, {
    title: page > 1 ? `${title}, page ${page}` : title,
    query,
    main: html`<div class="search-head"><h1>${query === '' ? title : html`Results for &ldquo;${isolate(query)}&rdquo;`}</h1><p class="quiet">${countOf(results)}${page > 1 ? `, page ${page}` : ''}</p></div>
${query === '' ? html`<ul class="plain chips suggestions" aria-label="Popular searches">${SUGGESTIONS.map((one) => html`<li><a href="${site.search(one)}">${one}</a></li>`)}</ul>` : ''}
${results.cards.length === 0 ? nothing(results, site) : html`<ul class="plain grid results">${cards(results.cards, shown, site)}</ul>`}
${pages(results, site)}` as Html,
  });
}
