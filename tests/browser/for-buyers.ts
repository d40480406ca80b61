import { expect, test } from '@jest/globals';
import { brandField, signIn, told, truthOf, until, type World } from './world.ts';

/** Sellers of the generator, with pages for buyers. */
const [SELLER, HOSTILE] = [11, 12];
const MARKUP = '<img src=x onerror="window.harmed=1"><b>Bold & Co</b>';

export function journeysForBuyers(world: () => World): void {
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

    for (const address of [`${stack.urls.user}/users/${SELLER}`, `${stack.urls.gig}/gigs/${SELLER}`]) {
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
    await signIn(world(), page, HOSTILE);
    // First in the list, so that search cards name it as well.
    const others = (await truthOf(world(), HOSTILE)).clients.length;
    await brandField(page).fill(MARKUP);
    await page.getByRole('button', { name: 'Add client' }).click();
    await told(page, `${MARKUP} was added`);
    if (others > 0) {
      await page.getByRole('button', { name: `Move ${MARKUP} to the top` }).click();
      await told(page, 'The order was changed');
    }
    const { version } = await truthOf(world(), HOSTILE);
    const harmed = () => page.evaluate('window.harmed');
    expect(await harmed()).toBeUndefined();
    await page.reload();
    expect(await page.locator('.client h3').first().textContent()).toBe(MARKUP);
    for (const address of [`${stack.urls.user}/users/${HOSTILE}`, `${stack.urls.gig}/gigs/${HOSTILE}`]) {
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
