import { expect, test } from '@jest/globals';
import { HOSTILE_TEXTS } from '../support/hostile-texts.ts';
import {
  type BrowserWorld,
  brandField,
  commandByApi,
  ownPage,
  signIn,
  told,
  truthOf,
  until,
} from './world.ts';

/** Sellers of the generator, with pages for buyers. */
const [SELLER, MARKED_UP, HOSTILE, TURNED] = [11, 12, 13, 14];
const MARKUP = '<img src=x onerror="window.harmed=1"><b>Bold & Co</b>';

/** Where buyers see one seller. */
const pagesOf = ({ stack }: BrowserWorld, seller: number) => [
  `${stack.urls.user}/users/${seller}`,
  `${stack.urls.gig}/gigs/${seller}`,
];

export function journeysForBuyers(world: () => BrowserWorld): void {
  test('a change is on the buyers’ pages within moments, and at once where its version is asked for', async () => {
    const { stack } = world();
    const page = await world().open();
    await signIn(world(), page, SELLER);
    const name = 'Freshly added';
    await brandField(page).fill(name);
    await page.getByRole('button', { name: 'Add client' }).click();
    await told(page, `${name} was added`);

    // The link to the buyers' view asks for the version just written.
    const link = page.getByRole('link', { name: 'See it as buyers do' });
    const { version } = await truthOf(world(), SELLER);
    expect(await link.getAttribute('href')).toBe(`${stack.urls.user}/users/${SELLER}?minVersion=${version}`);
    await link.click();
    await page.getByText(name).first().waitFor();
    const gig = await fetch(`${stack.urls.gig}/gigs/${SELLER}?minVersion=${version}`);
    expect([gig.headers.get('top-clients'), gig.headers.get('top-clients-version')]).toEqual([
      'full',
      String(version),
    ]);
    expect(await gig.text()).toContain(name);

    for (const address of pagesOf(world(), SELLER)) {
      await until(
        `${name} on ${address}`,
        async () => (await fetch(address)).text(),
        (text) => text.includes(name),
      );
    }
  });

  test('HTML in a name is text on every page', async () => {
    const { stack } = world();
    const page = await world().open();
    await signIn(world(), page, MARKED_UP);
    // First in the list, so that search cards name it as well.
    const others = (await truthOf(world(), MARKED_UP)).clients.length;
    await brandField(page).fill(MARKUP);
    await page.getByRole('button', { name: 'Add client' }).click();
    await told(page, `${MARKUP} was added`);
    if (others > 0) {
      await page.getByRole('button', { name: `Move ${MARKUP} to the top` }).click();
      await told(page, 'The order was changed');
    }
    const { version } = await truthOf(world(), MARKED_UP);
    const harmed = () => page.evaluate('window.harmed');
    expect(await harmed()).toBeUndefined();
    await page.reload();
    expect(await page.locator('.client h3').first().textContent()).toBe(MARKUP);
    for (const address of pagesOf(world(), MARKED_UP)) {
      await page.goto(`${address}?minVersion=${version}`);
      await page.getByText(MARKUP).first().waitFor();
      expect(await harmed()).toBeUndefined();
    }
    const title = (await page.locator('h1').first().textContent()) ?? '';
    const found = `${stack.urls.search}/search?q=${encodeURIComponent(title)}`;
    await until(
      'the name on its search card',
      async () => {
        await page.goto(found);
        return page.getByText(MARKUP).count();
      },
      (count) => count > 0,
    );
    expect(await harmed()).toBeUndefined();
    await page.goto(`${stack.urls.search}/search?q=${encodeURIComponent(MARKUP)}`);
    expect(await harmed()).toBeUndefined();
  });

  test('a name of before that turns text around turns no neighbour around, on no page', async () => {
    const { stack } = world();
    // The source refuses it today: it stands in the views as an old event left it.
    const evil = '\u2069\u202eEMCA';
    const old = [evil, 'Beta', 'Gamma'].map((name, index) => ({
      ...{ id: `00000000-0000-4000-8000-00000000000${index}`, name, logo: null },
      ...{ industry: evil, description: evil, from: '2020-01', to: null },
    }));
    const json = JSON.stringify(old);
    const schema = 'top_clients_asynchronous_v1';
    for (const [page, columns] of [
      ['user', 'clients'],
      ['gig', 'clients'],
      ['search', 'client_count, first_clients'],
    ] as const) {
      const counted = page === 'search' ? '3, ' : '';
      await stack.database(page).query(
        `insert into ${schema}.top_clients (seller_id, version, committed_at, ${columns})
         values ($1, 1000, now(), ${counted}$2)
         on conflict (seller_id) do update set version = 1000, (${columns}) = row (${counted}$2)`,
        [TURNED, json],
      );
    }
    const page = await world().open();
    const shownAs = (text: string) =>
      page.evaluate(`(() => {
        const walker = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT);
        for (let node; (node = walker.nextNode()); ) {
          const at = node.data.indexOf(${JSON.stringify(text)});
          if (at < 0) continue;
          const letters = [...Array(${text.length}).keys()].map((index) => {
            const range = document.createRange();
            range.setStart(node, at + index);
            range.setEnd(node, at + index + 1);
            return { letter: node.data[at + index], x: range.getBoundingClientRect().x };
          });
          return letters.sort((one, other) => one.x - other.x).map(({ letter }) => letter).join('');
        }
        return null;
      })()`);
    for (const address of pagesOf(world(), TURNED)) {
      await page.goto(address);
      await page.getByText('Gamma').first().waitFor();
      for (const text of ['EMCA', 'Beta', 'Gamma', 'since 2020']) {
        expect([address, await shownAs(text)]).toEqual([address, text]);
      }
    }
    const title = (await page.locator('h1').first().textContent()) ?? '';
    await page.goto(`${stack.urls.search}/search?q=${encodeURIComponent(title)}`);
    for (const text of ['EMCA', 'Beta', 'Gamma', 'Worked with']) expect(await shownAs(text)).toBe(text);
  });

  test('hostile strings in every field are text on every page', async () => {
    const { stack } = world();
    for (const { id } of (await truthOf(world(), HOSTILE)).clients) {
      await commandByApi(world(), HOSTILE, 'DELETE', `/clients/${id}`);
    }
    for (const text of HOSTILE_TEXTS) {
      await commandByApi(world(), HOSTILE, 'POST', '/clients', {
        name: text,
        industry: text,
        description: text,
      });
    }
    const page = await world().open();
    const elsewhere: string[] = [];
    page.on('request', (request) => {
      if (!/^https?:\/\/(localhost|127\.0\.0\.1):/.test(request.url())) elsewhere.push(request.url());
    });
    const harmless = async () => {
      expect([page.url(), await page.evaluate('window.harmed')]).toEqual([page.url(), undefined]);
      expect(elsewhere).toEqual([]);
    };
    const allShown = async () => {
      const all = (await page.locator('main').textContent()) ?? '';
      expect(HOSTILE_TEXTS.filter((text) => !all.includes(text))).toEqual([]);
      await harmless();
    };
    await signIn(world(), page, HOSTILE);
    await allShown();
    const { clients, version } = await truthOf(world(), HOSTILE);
    for (const { id, name } of clients) {
      await page.goto(`${ownPage(world(), HOSTILE)}/clients/${id}/edit`);
      for (const field of ['name', 'industry', 'description']) {
        expect(await page.locator(`#field-${field}`).inputValue()).toBe(name);
      }
      await harmless();
    }
    for (const address of pagesOf(world(), HOSTILE)) {
      await page.goto(`${address}?minVersion=${version}`);
      await allShown();
    }
    const title = (await page.locator('h1').first().textContent()) ?? '';
    const ids = clients.map(({ id }) => id);
    // A card names the first of a list: each is the first once.
    for (const [at, { name }] of clients.entries()) {
      const clientIds = [...ids.slice(at), ...ids.slice(0, at)];
      if (at > 0) await commandByApi(world(), HOSTILE, 'PUT', '/clients/order', { clientIds });
      await until(
        `${name} first on its search card`,
        async () => {
          await page.goto(`${stack.urls.search}/search?q=${encodeURIComponent(title)}`);
          return (await page.locator('.worked-names').allTextContents()).join();
        },
        (names) => names.includes(`Worked with ${name},`),
      );
      await harmless();
    }
    for (const text of HOSTILE_TEXTS) {
      const asked = encodeURIComponent(text);
      await page.goto(`${stack.urls.search}/search?q=${asked}`);
      expect(await page.locator('#q').inputValue()).toBe(text);
      await harmless();
      for (const address of [
        `${stack.urls.gig}/gigs/${asked}`,
        `${stack.urls.gig}/gigs/${HOSTILE}?minVersion=${asked}`,
        `${stack.urls.user}/users/${asked}`,
        `${ownPage(world(), HOSTILE)}?q=${asked}&name=${asked}&notice=${asked}`,
      ]) {
        await page.goto(address);
        await harmless();
      }
    }
  }, 180_000);

  test('what does not exist is a 404 page, for people and for programs', async () => {
    const { stack } = world();
    const page = await world().open();
    await signIn(world(), page, 1_301);
    for (const address of [
      `${stack.urls.gig}/gigs/999999`,
      `${stack.urls.gig}/nowhere`,
      `${stack.urls.user}/users/999999`,
      `${stack.urls.search}/nowhere`,
      `${stack.urls['self-view']}/sellers/0`,
      `${stack.urls['self-view']}/sellers/one`,
      `${stack.urls['self-view']}/sellers/1301/clients/00000000-0000-4000-8000-000000000000/edit`,
      `${stack.urls['self-view']}/nowhere`,
    ]) {
      const answer = await page.goto(address);
      expect([address, answer?.status()]).toEqual([address, 404]);
      await page.getByRole('heading', { level: 1 }).waitFor();
      const problem = await page.request.get(address, { headers: { accept: 'application/json' } });
      expect([address, problem.status(), problem.headers()['content-type']]).toEqual([
        address,
        404,
        'application/problem+json',
      ]);
    }
  });
}
