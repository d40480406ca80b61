import { describe, expect, test } from '@jest/globals';
import { titleOf } from '../seller-portal/command.ts';
import { newTerms, valuesOfClient } from '../seller-portal/form.ts';
import { editPage, keptFormPage, listPage, notice, undoForm } from '../seller-portal/templates.ts';
import type { Gig } from './gig/read.ts';
import { gigHtml } from './gig/template.ts';
import { isolate, sentence } from './isolate.ts';
import { siteOf } from './layout.ts';
import type { PageClient, ShownList } from './page.ts';
import { searchHtml } from './search/template.ts';
import { isolationOf, WRITTEN } from './testing/isolation.ts';
import type { UserProfile } from './user/read.ts';
import { userHtml } from './user/template.ts';

const site = siteOf({}, (name) => `/assets/${name}`);
const client = (id: string, logo: string | null) => ({
  id,
  name: WRITTEN,
  logo,
  industry: WRITTEN,
  description: WRITTEN,
  from: '2020-01',
  to: null,
});
const clients = [client('1', 'spotify'), client('2', null), client('3', null)];
const shown = (): ShownList => ({
  outcome: 'full',
  list: { version: 1, committedAt: 1, clients: clients as PageClient[], total: 9 },
});
const review = { author: WRITTEN, country: WRITTEN, rating: 5, text: WRITTEN, month: '2026-03' };
const gigs = [{ gigId: 2, title: WRITTEN, priceCents: 100, rating: 5, reviews: 1 }];

const PAGES = {
  'the gig page': () =>
    gigHtml(
      {
        gig_id: 1,
        seller_id: 1,
        title: WRITTEN,
        category: WRITTEN,
        description: `${WRITTEN}\n\n${WRITTEN}`,
        packages: [{ title: WRITTEN, priceCents: 100, deliveryDays: 1, revisions: 1, includes: [WRITTEN] }],
        faq: [{ question: WRITTEN, answer: WRITTEN }],
        recent_reviews: [review],
        rating: 5,
        reviews: 1,
        seller_name: WRITTEN,
        seller_headline: WRITTEN,
        seller_level: 'new',
        seller_country: WRITTEN,
        seller_hue: 1,
        related: [
          { gig_id: 2, title: WRITTEN, price_cents: 100, rating: 5, reviews: 1, seller_name: WRITTEN },
        ],
      } satisfies Gig,
      shown,
      site,
    ),
  'the user page': () =>
    userHtml(
      {
        seller_id: 1,
        display_name: WRITTEN,
        headline: WRITTEN,
        bio: WRITTEN,
        country: WRITTEN,
        city: WRITTEN,
        languages: [WRITTEN, WRITTEN],
        skills: [WRITTEN],
        member_since: '2019-04-01',
        level: 'new',
        response_hours: 1,
        orders_completed: 1,
        rating: 5,
        reviews: 1,
        hue: 1,
        gigs,
        recent_reviews: [review],
      } satisfies UserProfile,
      shown,
      site,
    ),
  'the search page': () =>
    searchHtml(
      {
        query: WRITTEN,
        page: 1,
        total: 1,
        cards: [
          {
            listing_id: 1,
            gig_id: 1,
            seller_id: 1,
            title: WRITTEN,
            category: 'x',
            price_cents: 100,
            delivery_days: 1,
            rating: 5,
            reviews: 1,
            seller_name: WRITTEN,
            seller_level: 'new',
            seller_hue: 1,
          },
        ],
      },
      shown,
      site,
    ),
  'the search page that found nothing': () =>
    searchHtml({ query: WRITTEN, page: 1, total: 0, cards: [] }, shown, site),
} as const;

const values = { ...valuesOfClient(clients[0]!), name: WRITTEN };
const form = {
  terms: newTerms(1),
  values,
  errors: {},
  brands: [{ slug: 'spotify', name: WRITTEN }],
  stored: { ...values, name: `${WRITTEN} once`, description: `${WRITTEN} once` },
};
const change = { title: `${titleOf({ kind: 'remove', clientId: '1' }, clients)}`, version: 1, inverse: null };
const OWN = {
  'the list': () =>
    listPage(site, {
      sellerId: 1,
      list: { sellerId: 1, version: 1, clients, updatedAt: null },
      form,
      formIsInUse: true,
      notice: { tone: 'done', title: change.title },
      undo: change,
    }),
  'the form of a client': () => editPage(site, { sellerId: 1, clientId: '1', name: WRITTEN, form }),
  'a form that is kept': () =>
    keptFormPage(site, {
      heading: `Edit ${change.title}`,
      form: { ...form, brands: [] },
      action: '/',
      searchAction: '/',
      submit: 'Again',
      back: '/',
      notice: { tone: 'problem', title: change.title },
    }),
  'the offer to undo': () => undoForm(1, form.terms, change),
  'a notice': () => notice({ tone: 'done', title: `Undone: ${change.title}` }),
} as const;

describe('what somebody wrote does not turn its neighbours around', () => {
  test.each(Object.entries(PAGES))('on %s', (_name, page) => {
    const { found, faults } = isolationOf(page());
    expect(faults).toEqual([]);
    expect(found).toBeGreaterThan(1);
  });

  test.each(Object.entries(OWN))('in %s of the self-view', (_name, part) => {
    const { found, faults } = isolationOf(part().toString());
    expect(faults).toEqual([]);
    expect(found).toBeGreaterThan(0);
  });
});

test('the check notices what stands beside others, and marks that leave their element', () => {
  expect(isolationOf('<p>by <b>WRITTEN</b>, 5/5</p>').faults).toHaveLength(1);
  expect(isolationOf('<p>by <bdi>\u202eWRITTEN</bdi>, 5/5</p>').faults).toHaveLength(1);
  expect(isolationOf('<p>by <bdi>WRITTEN</bdi></p><p dir="auto">\u202eWRITTEN</p>')).toEqual({
    found: 2,
    faults: [],
  });
});

test('a sentence reads as it was written, with each part in its own direction', () => {
  const title = titleOf({ kind: 'add', client: { ...clients[0]!, name: 'نايك' } }, []);
  expect(sentence(title).toString()).toBe('<bdi>نايك</bdi> was added');
  expect(
    sentence(titleOf({ kind: 'remove', clientId: '1' }, [{ ...clients[0]!, name: 'A<b' }])).toString(),
  ).toBe('A&lt;b was removed');
  expect(isolate('a\u2069\u202eb').toString()).toBe('<bdi>ab</bdi>');
});
