import { expect, test } from '@jest/globals';
import {
  addByApi,
  type BrowserWorld,
  brandField,
  expectTruth,
  notice,
  ownPage,
  row,
  signIn,
  told,
  truthOf,
} from './world.ts';

export function journeysWithoutScript(world: () => BrowserWorld): void {
  test('without a script a seller signs in, searches, adds, edits, moves, removes and undoes, and every page shows the truth', async () => {
    const seller = 1_001;
    const page = await world().open({ script: false });
    const shows = (...names: string[]) => expectTruth(world(), page, seller, names);
    await signIn(world(), page, seller);
    await page.getByText('No clients yet').waitFor();

    // The catalogue: accents and capitals do not matter, and what else was typed stays.
    await page.getByLabel('Industry').fill('Telecoms');
    await brandField(page).fill('telefonica');
    await page.getByRole('button', { name: 'Find' }).click();
    await page.getByRole('button', { name: 'Telefónica', exact: true }).click();
    expect(await brandField(page).inputValue()).toBe('Telefónica');
    expect(await page.getByLabel('Industry').inputValue()).toBe('Telecoms');
    await page.getByRole('button', { name: 'Add client' }).click();
    await told(page, 'Telefónica was added');
    await shows('Telefónica');
    expect((await truthOf(world(), seller)).clients[0]).toMatchObject({
      logo: 'telefonica',
      industry: 'Telecoms',
    });

    // Free text, sent by the Enter key.
    await brandField(page).fill('Bakery Müller & Sons');
    await brandField(page).press('Enter');
    await told(page, 'Bakery Müller & Sons was added');
    await shows('Telefónica', 'Bakery Müller & Sons');

    await row(page, 'Bakery').getByRole('link', { name: 'Edit' }).click();
    await brandField(page).fill('Bakery Miller');
    await page.getByLabel('From').fill('2024-02');
    await page.getByRole('button', { name: 'Save changes' }).click();
    await told(page, 'Bakery Miller was changed');
    await shows('Telefónica', 'Bakery Miller');
    await row(page, 'Bakery Miller').getByText('since Feb 2024').waitFor();
    await page.getByRole('button', { name: 'Undo' }).click();
    await told(page, 'Undone: Bakery Müller & Sons was changed');
    await shows('Telefónica', 'Bakery Müller & Sons');

    await addByApi(world(), seller, ['Third', 'Fourth']);
    await page.goto(ownPage(world(), seller));
    await page.getByRole('button', { name: 'Move Fourth to the top' }).click();
    await shows('Fourth', 'Telefónica', 'Bakery Müller & Sons', 'Third');
    await page.getByRole('button', { name: 'Move Fourth down' }).click();
    await shows('Telefónica', 'Fourth', 'Bakery Müller & Sons', 'Third');
    await page.getByRole('button', { name: 'Move Third up' }).click();
    await shows('Telefónica', 'Fourth', 'Third', 'Bakery Müller & Sons');
    await page.getByRole('button', { name: 'Move Telefónica to the bottom' }).click();
    await shows('Fourth', 'Third', 'Bakery Müller & Sons', 'Telefónica');
    await told(page, 'The order was changed');
    await page.getByRole('button', { name: 'Undo' }).click();
    await shows('Telefónica', 'Fourth', 'Third', 'Bakery Müller & Sons');

    // A removal is taken back to where it was, and that can be taken back as well.
    await row(page, 'Fourth').getByRole('button', { name: 'Remove' }).click();
    await told(page, 'Fourth was removed');
    await shows('Telefónica', 'Third', 'Bakery Müller & Sons');
    await page.getByRole('button', { name: 'Undo' }).click();
    await told(page, 'Undone: Fourth is back');
    await shows('Telefónica', 'Fourth', 'Third', 'Bakery Müller & Sons');
    await page.getByRole('button', { name: 'Undo' }).click();
    await shows('Telefónica', 'Third', 'Bakery Müller & Sons');

    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await page.goto(ownPage(world(), seller));
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  });

  test('what does not fit is said beside the field, and what was typed stays', async () => {
    const seller = 1_002;
    await addByApi(world(), seller, ['Spotify']);
    const page = await world().open({ script: false });
    await signIn(world(), page, seller);
    await brandField(page).fill('SPOTIFY');
    await page.getByLabel('What you did').fill('A film');
    await page.getByRole('button', { name: 'Add client' }).click();
    const field = brandField(page);
    expect(await field.getAttribute('aria-invalid')).toBe('true');
    const described = (await field.getAttribute('aria-describedby')) ?? '';
    expect(described).toContain('error-name');
    expect(await page.locator('#error-name').textContent()).toContain('Brand is in your list already');
    expect(await page.getByLabel('What you did').inputValue()).toBe('A film');

    await field.fill('x'.repeat(81));
    await page.getByLabel('What you did').fill('y'.repeat(501));
    await page.getByLabel('From').fill('2024-05');
    await page.getByLabel('Until').fill('2024-04');
    await page.getByRole('button', { name: 'Add client' }).click();
    await page.locator('#error-name').waitFor();
    expect(await page.locator('#error-description').textContent()).toContain('at most 500 characters');
    expect(await field.inputValue()).toBe('x'.repeat(81));
    expect(await page.getByLabel('What you did').inputValue()).toBe('y'.repeat(501));

    await field.fill('Short enough');
    await page.getByLabel('What you did').fill('');
    await page.getByRole('button', { name: 'Add client' }).click();
    expect(await page.locator('#error-to').textContent()).toContain('Until must not be before From');
    await page.getByLabel('Until').fill('2024-06');
    await page.getByRole('button', { name: 'Add client' }).click();
    await told(page, 'Short enough was added');
    await expectTruth(world(), page, seller, ['Spotify', 'Short enough']);
  });

  test('a full list says so, also to a form that was opened before', async () => {
    const seller = 1_003;
    const names = Array.from({ length: 20 }, (_, i) => `Client ${i + 1}`);
    await addByApi(world(), seller, names.slice(0, 19));
    const page = await world().open({ script: false });
    await signIn(world(), page, seller);
    await addByApi(world(), seller, names.slice(19));
    await brandField(page).fill('One too many');
    await page.getByRole('button', { name: 'Add client' }).click();
    await told(page, 'Your list has changed since you opened this page');
    await page.getByRole('button', { name: 'Add client' }).click();
    await told(page, 'Your list is full');
    expect(await brandField(page).inputValue()).toBe('One too many');
    await page.goto(ownPage(world(), seller));
    await page.getByText('The list is full').waitFor();
    await expectTruth(world(), page, seller, names);
  });

  test('a double click and a repeated request add once', async () => {
    const seller = 1_004;
    const page = await world().open({ script: false });
    await signIn(world(), page, seller);
    const form = page.locator('[data-client-form]');
    const sent = {
      version: await form.locator('[name="version"]').inputValue(),
      key: await form.locator('[name="key"]').inputValue(),
      name: 'Only once',
    };
    await brandField(page).fill('Only once');
    await page.getByRole('button', { name: 'Add client' }).dblclick();
    await told(page, 'Only once was added');
    const again = await page.request.post(`${ownPage(world(), seller)}/clients`, {
      form: sent,
      headers: { 'sec-fetch-site': 'same-origin' },
      maxRedirects: 0,
    });
    expect([again.status(), again.headers()['location']]).toEqual([303, `/sellers/${seller}?changed=1`]);
    await page.goto(`${ownPage(world(), seller)}?changed=1`);
    await expectTruth(world(), page, seller, ['Only once']);
    // The repetition found what the first request had noted.
    await page.getByRole('button', { name: 'Undo' }).click();
    await expectTruth(world(), page, seller, []);
  });

  test('a lot of changes in a short time are refused with the time to wait, and what was typed stays', async () => {
    const seller = 1_005;
    const page = await world().open({ script: false });
    await signIn(world(), page, seller);
    const token = await world().stack.issuer.token(seller);
    let status = 0;
    while (status !== 429) {
      const answer = await fetch(`${world().stack.urls.source}/v1/sellers/${seller}/clients/order`, {
        method: 'PUT',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: '{"clientIds":[]}',
      });
      status = answer.status;
    }
    await brandField(page).fill('Patience');
    await page.getByRole('button', { name: 'Add client' }).click();
    await told(page, 'That was a lot of changes in a short time');
    expect(await notice(page).textContent()).toMatch(/Wait \d+ seconds/);
    expect(await brandField(page).inputValue()).toBe('Patience');
  });
}
