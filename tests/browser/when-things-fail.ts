import { expect, test } from '@jest/globals';
import {
  addByApi,
  type BrowserWorld,
  brandField,
  changesAnswered,
  expectTruth,
  ownPage,
  row,
  signIn,
  told,
  truthOf,
  tryAgainUntilTold,
  until,
} from './world.ts';

/** A seller of the generator, with pages for buyers. */
const SEEN = 7;

export function journeysWhenThingsFail(world: () => BrowserWorld): void {
  test('of two windows the second is told what has changed, and keeps what was typed', async () => {
    const seller = 1_201;
    await addByApi(world(), seller, ['Common']);
    const mine = await world().open();
    await signIn(world(), mine, seller);
    const other = await mine.context().newPage();
    await other.goto(ownPage(world(), seller));

    await brandField(mine).fill('Mine');
    await mine.getByLabel('What you did').fill('A lot of typing');
    await brandField(other).fill('Other');
    await other.getByRole('button', { name: 'Add client' }).click();
    await told(other, 'Other was added');
    await mine.getByRole('button', { name: 'Add client' }).click();
    await told(mine, 'Your list has changed since you opened this page');
    await expectTruth(world(), mine, seller, ['Common', 'Other']);
    expect(await mine.getByLabel('What you did').inputValue()).toBe('A lot of typing');
    await mine.getByRole('button', { name: 'Add client' }).click();
    await told(mine, 'Mine was added');
    await expectTruth(world(), mine, seller, ['Common', 'Other', 'Mine']);

    // The other window still offers to undo a change that is no longer the last one.
    await other.getByRole('button', { name: 'Undo' }).click();
    await told(other, 'Your list has changed since you opened this page');
    await expectTruth(world(), other, seller, ['Common', 'Other', 'Mine']);

    await mine.goto(ownPage(world(), seller));
    await row(mine, 'Common').getByRole('link', { name: 'Edit' }).click();
    await row(other, 'Common').getByRole('link', { name: 'Edit' }).click();
    await other.getByLabel('Industry').fill('Theirs');
    await other.getByRole('button', { name: 'Save changes' }).click();
    await told(other, 'Common was changed');
    await mine.getByLabel('Industry').fill('Ours');
    await mine.getByRole('button', { name: 'Save changes' }).click();
    await told(mine, 'Your list has changed since you opened this page');
    expect(await mine.locator('#stored-industry').textContent()).toBe('Saved now: Theirs');
    expect(await mine.getByLabel('Industry').inputValue()).toBe('Ours');

    // And when the client itself is gone, the typing is not.
    await row(other, 'Common').getByRole('button', { name: 'Remove' }).click();
    await told(other, 'Common was removed');
    await mine.getByRole('button', { name: 'Save changes' }).click();
    await told(mine, 'no longer in your list');
    expect(await mine.getByLabel('Industry').inputValue()).toBe('Ours');
  });

  test('while the source of truth is down, pages for buyers are whole and the self-view keeps what was typed', async () => {
    const { stack } = world();
    await until(
      'the seeded list on the user page',
      async () => (await fetch(`${stack.urls.user}/users/${SEEN}`)).headers.get('top-clients-version'),
      (version) => Number(version) > 0,
    );
    const before = await truthOf(world(), SEEN);
    const page = await world().open({ script: false });
    await signIn(world(), page, SEEN);
    await brandField(page).fill('Kept brand');
    await page.getByLabel('What you did').fill('Kept words');

    const source = stack.process('top-clients');
    const gone = source.exited;
    source.kill('SIGKILL');
    await gone;
    try {
      for (const address of [
        `${stack.urls.gig}/gigs/${SEEN}`,
        `${stack.urls.user}/users/${SEEN}`,
        `${stack.urls.search}/search`,
      ]) {
        const answer = await fetch(address);
        expect([address, answer.status, answer.headers.get('top-clients')]).toEqual([address, 200, 'full']);
      }
      await page.getByRole('button', { name: 'Add client' }).click();
      await told(page, 'Your list is out of reach for the moment');
      expect(await brandField(page).inputValue()).toBe('Kept brand');
      expect(await page.getByLabel('What you did').inputValue()).toBe('Kept words');
      const reader = await page.context().newPage();
      const shown = await reader.goto(ownPage(world(), SEEN));
      expect([shown?.status(), shown?.headers()['retry-after']]).toEqual([503, '1']);
      await reader.getByRole('link', { name: 'Try again' }).waitFor();
    } finally {
      await source.restart();
    }
    // The circuit breaker may keep it waiting for another second.
    await tryAgainUntilTold(page, 'Kept brand was added', (again) =>
      Promise.all([page.waitForEvent('domcontentloaded'), again.click()]),
    );
    await expectTruth(world(), page, SEEN, [...before.clients.map(({ name }) => name), 'Kept brand']);
  });

  test('a change without an answer is said to be open, and trying again never does it twice', async () => {
    const seller = 1_202;
    const page = await world().open();
    await signIn(world(), page, seller);
    await brandField(page).fill('Hanging');
    const source = world().stack.process('top-clients');
    // The read before the write is answered, the write is not: its database is locked.
    const blocker = await world().stack.database('source').connect();
    try {
      await blocker.query('begin');
      await blocker.query('lock table seller in exclusive mode');
      await page.getByRole('button', { name: 'Add client' }).click();
      await told(page, 'We did not hear back in time');
      expect(await brandField(page).inputValue()).toBe('Hanging');
    } finally {
      await blocker.query('commit');
      blocker.release();
    }
    expect(source.running).toBe(true);
    await tryAgainUntilTold(page, 'Hanging was added', async (again) => {
      await again.click();
      await changesAnswered(page);
    });
    await expectTruth(world(), page, seller, ['Hanging']);
  });

  test('who is not signed in as the seller neither sees nor changes the list', async () => {
    const seller = 1_203;
    await addByApi(world(), seller, ['Private']);
    const { stack } = world();
    const page = await world().open();
    await signIn(world(), page, 1_204);
    const answer = await page.goto(ownPage(world(), seller));
    expect(answer?.status()).toBe(403);
    await page.getByRole('heading', { name: 'another seller’s list' }).waitFor();
    expect(await page.getByText('Private').count()).toBe(0);

    const address = ownPage(world(), seller);
    const json = { accept: 'application/json' };
    const bearer = async (token: string) => ({ ...json, authorization: `Bearer ${token}` });
    const asked = async (headers: Record<string, string>) => (await fetch(address, { headers })).status;
    expect(await asked(json)).toBe(401);
    expect(await asked(await bearer(await stack.issuer.token(1_204)))).toBe(403);
    expect(await asked(await bearer(await stack.issuer.token(seller, { aud: 'another' })))).toBe(401);
    expect(await asked(await bearer(await stack.issuer.token(seller, { iss: 'http://another' })))).toBe(401);
    const own = await fetch(address, { headers: await bearer(await stack.issuer.token(seller)) });
    expect(await own.json()).toMatchObject({
      sellerId: seller,
      topClients: { outcome: 'full', version: 1, clients: [{ name: 'Private' }] },
    });

    // A form on another site, with the seller's own cookie.
    await signIn(world(), await world().open(), seller);
    for (const headers of [
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { origin: 'http://localhost:1' },
      {},
    ]) {
      const forged = await fetch(`${address}/undo`, {
        method: 'POST',
        headers: {
          ...(headers as Record<string, string>),
          'content-type': 'application/x-www-form-urlencoded',
          cookie: `tc_session=${await stack.issuer.token(seller)}`,
        },
        body: 'version=1&key=00000000-0000-4000-8000-000000000000',
      });
      expect([headers, forged.status]).toEqual([headers, 403]);
    }
    expect((await truthOf(world(), seller)).version).toBe(1);
  });

  test('a sign-in that expires in the middle costs nothing that was typed', async () => {
    const seller = 1_205;
    const { stack } = world();
    const page = await world().open();
    await signIn(world(), page, seller);
    await brandField(page).fill('Typed before');
    await page.getByLabel('Industry').fill('Patience');
    const expired = await stack.issuer.token(seller, { exp: Math.floor(Date.now() / 1_000) - 60 });
    await page.context().addCookies([{ name: 'tc_session', value: expired, url: stack.urls['self-view'] }]);
    await page.getByRole('button', { name: 'Add client' }).click();
    await told(page, 'Your sign-in has expired');
    // With a token of one's own this time.
    await page.getByText('Use a token of your own').click();
    await page.getByLabel('Token (JWT)').fill('not.a.token');
    await page.getByRole('button', { name: 'Sign in with the token' }).click();
    await told(page, 'That token is not valid here');
    await page.getByText('Use a token of your own').click();
    await page.getByLabel('Token (JWT)').fill(await stack.issuer.token(seller));
    await page.getByRole('button', { name: 'Sign in with the token' }).click();
    await page.getByRole('heading', { name: 'Your top clients' }).waitFor();
    expect(await brandField(page).inputValue()).toBe('Typed before');
    expect(await page.getByLabel('Industry').inputValue()).toBe('Patience');
    await page.getByRole('button', { name: 'Add client' }).click();
    await told(page, 'Typed before was added');
  });

  test('a list older than an acknowledged change is counted, and never shown', async () => {
    const seller = 1_206;
    await addByApi(world(), seller, ['Overlooked']);
    const { stack } = world();
    const violations = () => stack.metric('self-view', 'topclients_self_view_violations_total');
    // No journey before this one saw such a list.
    expect(await violations()).toBe(0);
    const page = await world().open();
    await signIn(world(), page, seller);
    const db = stack.database('self_view');
    await db.query('insert into acknowledged (seller_id, version) values ($1, 9)', [seller]);
    try {
      const answer = await page.goto(ownPage(world(), seller));
      expect(answer?.status()).toBe(503);
      expect(await page.getByText('Overlooked').count()).toBe(0);
      expect(await violations()).toBe(2);
    } finally {
      await db.query('delete from acknowledged where seller_id = $1', [seller]);
    }
    await page.reload();
    await expectTruth(world(), page, seller, ['Overlooked']);
  });

  test('without its own database the self-view still shows and changes the list, only undo and catalogue are missing', async () => {
    const seller = 1_207;
    const { stack } = world();
    const page = await world().open({ script: false });
    await signIn(world(), page, seller);
    const db = stack.database('self_view');
    await db.query('alter table change rename to change_away');
    await db.query('alter table acknowledged rename to acknowledged_away');
    await db.query('alter table brand rename to brand_away');
    try {
      await brandField(page).fill('Spotify');
      await page.getByRole('button', { name: 'Find' }).click();
      await page.getByRole('button', { name: 'Add client' }).click();
      await told(page, 'Saved');
      await expectTruth(world(), page, seller, ['Spotify']);
      expect(await page.getByRole('button', { name: 'Undo' }).count()).toBe(0);
    } finally {
      await db.query('alter table change_away rename to change');
      await db.query('alter table acknowledged_away rename to acknowledged');
      await db.query('alter table brand_away rename to brand');
    }
  });
}
