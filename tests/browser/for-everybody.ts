import { expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import { graveViolations, graveViolationsInBothLooks } from './accessibility.ts';
import { addByApi, type BrowserWorld, brandField, ownPage, row, signIn, told } from './world.ts';

/** Half a second a page on an idle machine, and it may be anything but idle. In ms. */
const PATIENCE_MS = 180_000;

const expectAccessible = async (state: string, page: Page) =>
  expect({ state, violations: await graveViolationsInBothLooks(page) }).toEqual({ state, violations: [] });

export function journeysForEverybody(world: () => BrowserWorld): void {
  test('the check for accessibility finds what is broken', async () => {
    const page = await world().open();
    await page.goto(world().stack.urls['self-view']);
    expect(await graveViolations(page)).toEqual([]);
    await page.evaluate(`
      document.querySelector('label[for="seller"]').remove();
      document.querySelector('main p').style.color = '#ddd';
    `);
    const found = await graveViolations(page);
    expect(found.some((one) => one.startsWith('label'))).toBe(true);
    expect(found.some((one) => one.startsWith('color-contrast'))).toBe(true);
  });

  test(
    'pages for buyers have no grave violation, in light and dark, on phone and desktop',
    async () => {
      const { urls } = world().stack;
      const page = await world().open();
      for (const address of [
        `${urls.gig}/`,
        `${urls.gig}/gigs/1`,
        `${urls.gig}/gigs/999999`,
        `${urls.user}/users/1`,
        `${urls.search}/search`,
        `${urls.search}/search?q=${encodeURIComponent('nothing is called so')}`,
      ]) {
        await page.goto(address);
        await expectAccessible(address, page);
      }
    },
    PATIENCE_MS,
  );

  test('the self-view forbids foreign and inline code in whatever it answers', async () => {
    const own = ownPage(world(), 1);
    const { urls } = world().stack;
    const asset = /\/assets\/self-view\/self-view\.css[^"]*/.exec(await (await fetch(own)).text())![0];
    const answers = await Promise.all([
      fetch(own),
      fetch(`${urls['self-view']}/`),
      fetch(`${urls['self-view']}${asset}`),
      fetch(`${urls['self-view']}/nowhere`),
      fetch(own, { method: 'POST' }),
    ]);
    for (const { headers, url } of answers) {
      expect({ url, policy: headers.get('content-security-policy') }).toEqual({
        url,
        policy: expect.stringContaining("script-src 'self'"),
      });
    }
  });

  test.each([true, false])(
    'after signing out, Back shows nothing of the seller’s; with the script: %s',
    async (script) => {
      const seller = script ? 1_403 : 1_404;
      await addByApi(world(), seller, ['Only for me']);
      const page = await world().open({ script });
      await signIn(world(), page, seller);
      await row(page, 'Only for me').getByRole('link', { name: 'Edit' }).click();
      await page.getByRole('heading', { name: 'Edit Only for me' }).waitFor();
      await page.getByRole('link', { name: 'Cancel' }).click();
      await page.getByRole('button', { name: 'Sign out' }).click();
      await page.getByRole('heading', { name: 'Sign in' }).waitFor();
      for (let back = 0; back < 3; back += 1) {
        await page.goBack();
        await page.getByRole('heading', { name: 'Sign in' }).waitFor();
        expect(await page.content()).not.toContain('Only for me');
      }
    },
  );

  test(
    'the self-view has no grave violation from the sign-in to the first client',
    async () => {
      const seller = 1_401;
      const page = await world().open();
      await page.goto(ownPage(world(), seller));
      await expectAccessible('sign-in', page);
      await signIn(world(), page, seller);
      await expectAccessible('an empty list', page);
      await page.goto(`${ownPage(world(), seller)}?q=spot`);
      await expectAccessible('brands found without the script', page);
      await page.goto(ownPage(world(), seller));
      await brandField(page).pressSequentially('spot');
      await page.getByRole('option').first().waitFor();
      await page.keyboard.press('ArrowDown');
      await expectAccessible('the open combobox', page);
      await page.keyboard.press('Enter');
      await expectAccessible('a chosen brand', page);
      await brandField(page).fill('x'.repeat(90));
      await page.getByRole('button', { name: 'Add client' }).click();
      await told(page, 'Nothing was saved yet');
      await expectAccessible('an error beside a field', page);
      await brandField(page).fill('First');
      await page.getByRole('button', { name: 'Add client' }).click();
      await told(page, 'First was added');
      await expectAccessible('an offer to undo', page);
    },
    PATIENCE_MS,
  );

  test(
    'nor with a full list, a conflict, a client picked up, and another seller’s page',
    async () => {
      const seller = 1_402;
      const page = await world().open();
      await addByApi(world(), seller, ['First']);
      await signIn(world(), page, seller);
      await addByApi(
        world(),
        seller,
        Array.from({ length: 19 }, (_, i) => `Client ${i}`),
      );
      await brandField(page).fill('Too late');
      await page.getByRole('button', { name: 'Add client' }).click();
      await told(page, 'Your list has changed');
      await expectAccessible('a conflict, and a full list', page);
      await page.goto(ownPage(world(), seller));
      await page.getByRole('button', { name: 'Reorder First' }).press('Space');
      await expectAccessible('a client picked up', page);
      await page.keyboard.press('Escape');
      await page.getByRole('link', { name: 'Edit First' }).click();
      await page.getByRole('heading', { name: 'Edit First' }).waitFor();
      await expectAccessible('the form of one client', page);
      await page.goto(ownPage(world(), 1));
      await expectAccessible('another seller’s page', page);
    },
    PATIENCE_MS,
  );

  test(
    'nor while the source of truth is down',
    async () => {
      const seller = 1_403;
      const { stack } = world();
      const page = await world().open();
      await addByApi(world(), seller, ['First']);
      await signIn(world(), page, seller);
      await page.getByRole('link', { name: 'Edit First' }).click();
      await page.getByRole('heading', { name: 'Edit First' }).waitFor();
      await stack.process('top-clients').stop();
      try {
        await page.getByLabel('Industry').fill('Kept');
        await page.getByRole('button', { name: 'Save changes' }).click();
        await told(page, 'out of reach');
        await expectAccessible('a form kept while the source is down', page);
        await page.goto(ownPage(world(), seller));
        await expectAccessible('the list while the source is down', page);
      } finally {
        await stack.process('top-clients').restart();
      }
    },
    PATIENCE_MS,
  );
}
