import { expect, test } from '@jest/globals';
import type { Page } from 'playwright-core';
import {
  addByApi,
  type BrowserWorld,
  brandField,
  changesAnswered,
  expectTruth,
  namesOn,
  row,
  signIn,
  told,
  truthOf,
  until,
} from './world.ts';

const handle = (page: Page, name: string) => page.getByRole('button', { name: `Reorder ${name}` });

/** The source has it; the page shows it when the answer is there. */
const settled = async (world: BrowserWorld, page: Page, sellerId: number, names: string[]) => {
  await until(
    'the order on the page',
    () => namesOn(page),
    (shown) => shown.join() === names.join(),
  );
  await until(
    'the order in the source of truth',
    async () => (await truthOf(world, sellerId)).clients.map(({ name }) => name),
    (stored) => stored.join() === names.join(),
  );
  await changesAnswered(page);
  await expectTruth(world, page, sellerId, names);
};

export function journeysWithScript(world: () => BrowserWorld): void {
  test('the catalogue is a combobox that works by keyboard alone', async () => {
    const seller = 1_101;
    const page = await world().open();
    await signIn(world(), page, seller);
    const field = page.getByRole('combobox', { name: 'Brand' });
    await field.focus();
    await page.keyboard.type('spotif', { delay: 20 });
    await page.getByRole('option', { name: 'Spotify' }).waitFor();
    expect(await field.getAttribute('aria-expanded')).toBe('true');
    await page.keyboard.press('ArrowDown');
    const active = (await field.getAttribute('aria-activedescendant')) ?? '';
    expect(await page.locator(`#${active}`).getAttribute('aria-selected')).toBe('true');
    await page.keyboard.press('Escape');
    expect(await page.getByRole('option').count()).toBe(0);
    expect(await field.inputValue()).toBe('spotif');
    await page.keyboard.press('ArrowDown');
    await page.getByRole('option', { name: 'Spotify' }).waitFor();
    await page.keyboard.press('ArrowDown');
    // Choosing must not send the form.
    await page.keyboard.press('Enter');
    expect(await field.inputValue()).toBe('Spotify');
    expect((await truthOf(world(), seller)).version).toBe(0);
    expect(await page.locator('[data-chosen] img').getAttribute('src')).toBe('/logos/spotify.svg');
    await page.keyboard.press('Enter');
    await told(page, 'Spotify was added');
    await expectTruth(world(), page, seller, ['Spotify']);
    expect((await truthOf(world(), seller)).clients[0]?.logo).toBe('spotify');
  });

  test('with the script nothing loads anew: add, edit, remove and undo, and every state shows the truth', async () => {
    const seller = 1_102;
    const page = await world().open();
    await signIn(world(), page, seller);
    await page.evaluate('window.sameDocument = true');
    await brandField(page).fill('First');
    await page.getByRole('button', { name: 'Add client' }).click();
    await told(page, 'First was added');
    await brandField(page).fill('Second');
    await page.getByRole('button', { name: 'Add client' }).click();
    await told(page, 'Second was added');
    await expectTruth(world(), page, seller, ['First', 'Second']);
    await row(page, 'First').getByRole('button', { name: 'Remove' }).click();
    await told(page, 'First was removed');
    await expectTruth(world(), page, seller, ['Second']);
    await page.getByRole('button', { name: 'Undo' }).click();
    await told(page, 'Undone: First is back');
    await expectTruth(world(), page, seller, ['First', 'Second']);
    await page.getByRole('button', { name: 'Move First down' }).click();
    await told(page, 'The order was changed');
    await expectTruth(world(), page, seller, ['Second', 'First']);
    expect(await page.evaluate('window.sameDocument')).toBe(true);
    // The address is the list's own, so that a reload says nothing twice.
    expect(new URL(page.url()).search).toBe('');
    await page.reload();
    await expectTruth(world(), page, seller, ['Second', 'First']);
    await row(page, 'Second').getByRole('link', { name: 'Edit' }).click();
    await page.getByLabel('Industry').fill('Music');
    await page.getByRole('button', { name: 'Save changes' }).click();
    await told(page, 'Second was changed');
    expect((await truthOf(world(), seller)).clients[0]?.industry).toBe('Music');
  });

  test('a client is dragged to its place by mouse and by finger', async () => {
    const seller = 1_103;
    await addByApi(world(), seller, ['A', 'B', 'C', 'D']);
    const page = await world().open({ size: 'phone', touch: true });
    await signIn(world(), page, seller);
    const centre = async (name: string) => {
      const box = (await handle(page, name).boundingBox())!;
      return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
    };
    const [a, c] = [await centre('A'), await centre('C')];
    await page.mouse.move(a.x, a.y);
    await page.mouse.down();
    await page.mouse.move(a.x, a.y + 20);
    await page.mouse.move(c.x, c.y + 10, { steps: 5 });
    await page.mouse.up();
    await settled(world(), page, seller, ['B', 'C', 'A', 'D']);

    // Escape puts it back.
    const b = await centre('B');
    await page.mouse.move(b.x, b.y);
    await page.mouse.down();
    await page.mouse.move(b.x, b.y + 300, { steps: 3 });
    await page.keyboard.press('Escape');
    await page.mouse.up();
    expect(await namesOn(page)).toEqual(['B', 'C', 'A', 'D']);

    const touch = await page.context().newCDPSession(page);
    const [from, to] = [await centre('A'), await centre('B')];
    const finger = (type: 'touchStart' | 'touchMove' | 'touchEnd', y: number) =>
      touch.send('Input.dispatchTouchEvent', {
        type,
        touchPoints: type === 'touchEnd' ? [] : [{ x: from.x, y }],
      });
    await finger('touchStart', from.y);
    for (const part of [0.2, 0.5, 0.8, 1]) await finger('touchMove', from.y + (to.y - 15 - from.y) * part);
    await finger('touchEnd', to.y);
    await settled(world(), page, seller, ['A', 'B', 'C', 'D']);
  });

  test('a client is moved by keyboard, and a screen reader hears where it is', async () => {
    const seller = 1_104;
    await addByApi(world(), seller, ['A', 'B', 'C']);
    const page = await world().open();
    await signIn(world(), page, seller);
    const heard = (words: string) =>
      page.locator('#live').filter({ hasText: words }).waitFor({ state: 'attached' });
    await handle(page, 'A').focus();
    await page.keyboard.press('Space');
    await heard('A is picked up at 1 of 3');
    await page.keyboard.press('ArrowDown');
    await heard('A, 2 of 3');
    await page.keyboard.press('Escape');
    await heard('A is back at 1 of 3');
    expect(await namesOn(page)).toEqual(['A', 'B', 'C']);
    await page.keyboard.press('Space');
    await page.keyboard.press('End');
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('Space');
    await settled(world(), page, seller, ['B', 'A', 'C']);
    await heard('The order was changed');
    // The focus stays on what was moved, so that it can be moved on.
    expect(await handle(page, 'A').evaluate((one) => one === one.ownerDocument.activeElement)).toBe(true);
  });

  test('while the self-view itself cannot be reached, the form stays as it is and can be sent again', async () => {
    const seller = 1_105;
    const page = await world().open();
    await signIn(world(), page, seller);
    await brandField(page).fill('Offline');
    await page.context().setOffline(true);
    await page.getByRole('button', { name: 'Add client' }).click();
    await told(page, 'We could not reach the server');
    expect(await brandField(page).inputValue()).toBe('Offline');
    await page.context().setOffline(false);
    await page.getByRole('button', { name: 'Add client' }).click();
    await told(page, 'Offline was added');
    await expectTruth(world(), page, seller, ['Offline']);
  });
}
