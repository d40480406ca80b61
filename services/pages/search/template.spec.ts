import { expect, test } from '@jest/globals';
import { seller } from '../../seed/sellers.ts';
import { siteOf } from '../layout.ts';
import type { ClientList } from '../page.ts';
import type { Card } from './read.ts';
import { searchHtml } from './template.ts';

const site = siteOf({}, (name) => `/assets/${name}`);
const made: Card = seller(1, 1).listings[0]!;
const list: ClientList = {
  version: 1,
  committedAt: 1,
  clients: [{ id: '1', name: 'Spotify', logo: null }],
  total: 5,
};
const shows = (card: Card, of: ClientList | null = list, on = site) =>
  searchHtml({ query: '', page: 1, cards: [card], total: 1 }, () => ({ outcome: 'full', list: of }), on);

test('a card follows every column of its listing, although most of it is rendered once', () => {
  const before = shows(made);
  expect(shows({ ...made })).toBe(before);
  const changes: ReadonlyArray<Partial<Card>> = [
    { title: 'Another title' },
    { seller_name: 'Another name' },
    { seller_level: made.seller_level === 'new' ? 'master' : 'new' },
    { seller_hue: (made.seller_hue + 60) % 360 },
    { rating: 1.5, reviews: 7 },
    { price_cents: made.price_cents + 100 },
    { gig_id: made.gig_id + 1 },
  ];
  for (const change of changes) expect(shows({ ...made, ...change })).not.toBe(before);
  expect(shows(made)).toBe(before);
});

test('a card shows whom its seller worked with as the list says now, and nobody of a seller without one', () => {
  expect(shows(made)).toContain('Spotify');
  expect(shows(made, { ...list, clients: [{ id: '2', name: 'Nike', logo: null }] })).toContain('Nike');
  expect(shows(made, { ...list, clients: [], total: 0 })).not.toContain('Worked with');
  expect(shows(made, null)).not.toContain('Worked with');
  expect(searchHtml({ query: '', page: 1, cards: [made], total: 1 }, null, site)).toBe(shows(made, null));
});

test('cards lead where their own site has its pages', () => {
  shows(made);
  const elsewhere = siteOf({ gig: 'https://gigs.example' }, (name) => `/assets/${name}`);
  expect(shows(made, list, elsewhere)).toContain(`href="https://gigs.example/gigs/${made.gig_id}"`);
});

test('a page is within Latin-1, whatever listings and lists are called', () => {
  const html = shows(
    { ...made, title: 'children’s 日本 😀', seller_name: 'Michał Wiśniewska' },
    { ...list, clients: [{ id: '1', name: 'Škoda', logo: null }] },
  );
  expect(html).toContain('children&#8217;s &#26085;&#26412; &#128512;');
  expect(html).toContain('&#352;koda');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the range is the point
  expect(html).toMatch(/^[\u0000-\u00ff]*$/);
});
