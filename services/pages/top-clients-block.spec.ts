import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { siteOf } from './layout.ts';
import type { PageClient, ShownList } from './page.ts';
import { topClientsBlock, workedWith } from './top-clients-block.ts';

const site = siteOf({}, (name) => `/assets/${name}`);
const client = (over: Partial<PageClient> = {}): PageClient => ({
  id: '1',
  name: 'Spotify',
  logo: 'spotify',
  ...over,
});
const full = (clients: readonly PageClient[], total = clients.length): ShownList => ({
  outcome: 'full',
  list: { version: 1, committedAt: 1, clients, total },
});
const tags = (text: string) =>
  text.match(/<[a-z/][^>]*>/gi)?.map((tag) => /^<\/?[a-z]+/i.exec(tag)![0]) ?? [];
const evil = fc.oneof(
  fc.string(),
  fc.constantFrom(
    '<script>alert(1)</script>',
    '"><img src=x onerror=alert(1)>',
    "' onload='x",
    '&lt;b&gt;',
    '</li>',
  ),
);

describe('whatever a seller writes is shown as text', () => {
  test.each(['tiles', 'stories'] as const)('in %s', (form) => {
    const plain = tags(
      String(
        topClientsBlock(
          full([client({ industry: 'x', description: 'x', from: '2020-01' })]),
          'x',
          site,
          form,
        ),
      ),
    );
    fc.assert(
      fc.property(evil, evil, evil, evil, (name, industry, description, seller) => {
        const list = [
          client({ name, industry: industry || 'x', description: description || 'x', from: '2020-01' }),
        ];
        expect(tags(String(topClientsBlock(full(list), seller, site, form)))).toEqual(plain);
      }),
    );
  });

  test('on a card', () => {
    const plain = tags(String(workedWith(full([client({ logo: null })], 5), site, 3)));
    fc.assert(
      fc.property(evil, (name) => {
        expect(tags(String(workedWith(full([client({ name, logo: null })], 5), site, 3)))).toEqual(plain);
      }),
    );
  });
});

test('only a slug becomes part of an address', () => {
  fc.assert(
    fc.property(
      fc.oneof(evil, fc.constantFrom('../etc/passwd', 'javascript:alert(1)', '//evil.example', 'a b')),
      (logo) => {
        const html = String(workedWith(full([client({ logo })]), site, 3));
        const address = /src="([^"]*)"/.exec(html)?.[1];
        if (address !== undefined) expect(address).toMatch(/^\/logos\/[a-z0-9_]{1,60}\.svg$/);
      },
    ),
  );
});

test('without data, and without clients, there is no block and no hole', () => {
  const missing: ShownList = { outcome: 'missing', list: null };
  for (const shown of [undefined, missing, full([])]) {
    expect(topClientsBlock(shown, 'Ann', site, 'tiles')).toBe('');
    expect(workedWith(shown, site, 3)).toBe('');
  }
});

test('a long list shows eight brands and folds the others; nine are shown at once', () => {
  const of = (count: number) =>
    String(
      topClientsBlock(
        full(Array.from({ length: count }, (_, i) => client({ name: `Brand ${i}` }))),
        'Ann',
        site,
        'tiles',
      ),
    );
  expect(of(20)).toContain('12 more brands');
  expect(of(9)).not.toContain('<details');
});

test('a card names three brands and counts the others', () => {
  const clients = ['A', 'B', 'C', 'D'].map((name) => client({ name }));
  const text = String(workedWith(full(clients, 20), site, 3)).replaceAll(/<[^>]*>/g, '');
  expect(text).toBe('Worked with A, B, C +17 more');
});

test('a stale list says that a change is on its way', () => {
  const stale: ShownList = { ...full([client()]), outcome: 'stale' };
  expect(String(topClientsBlock(stale, 'Ann', site, 'tiles'))).toContain('will appear in a moment');
});

test('characters beyond Latin-1 arrive as references, which keep the string of the page narrow', () => {
  const html = String(
    topClientsBlock(
      full([client({ name: '日本 🎈', from: '2020-01', to: '2023-01' })]),
      'Zoë',
      site,
      'tiles',
    ),
  );
  expect(html).toContain('&#26085;&#26412; &#127880;');
  expect(html).toContain('2020&#8211;2023');
  expect(html).toContain('Zoë');
});
