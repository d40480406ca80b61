import { expect, test } from '@jest/globals';
import { problem } from '#contracts/problems.ts';
import { NotTheContract } from '../source-client/answer.ts';
import {
  type Answered,
  judgeAnswer,
  judgeStatus,
  type Marketplace,
  type ShownClient,
  type ShownPage,
} from './marketplace.ts';
import { judgePage, MARK, smoke } from './smoke.ts';

const settings = { deadlineMs: 200, betweenLooksMs: 1, nonce: 'abc' };
const answer = <T>(value: T): Answered<T> => ({ kind: 'answer', value });

/** A marketplace in memory, whose page follows the source after `looks` looks. */
class Fake implements Marketplace {
  mayWrite = true;
  hasPage = true;
  clients: ShownClient[] = [{ id: 'one', name: 'Spotify' }];
  shown: ShownClient[] = [...this.clients];
  looks = 3;
  removed: string[] = [];

  async list() {
    return answer({ version: this.clients.length, clients: this.clients });
  }
  async add(name: string): Promise<Answered<ShownClient>> {
    const client = { id: `id of ${name}`, name };
    this.clients = [...this.clients, client];
    return answer(client);
  }
  async remove(clientId: string): Promise<Answered<null>> {
    this.removed.push(clientId);
    this.clients = this.clients.filter(({ id }) => id !== clientId);
    return answer(null);
  }
  async page(): Promise<Answered<ShownPage>> {
    if (--this.looks === 0) this.shown = this.clients;
    return answer({ topClients: { outcome: 'full', clients: this.shown } });
  }
}

test('a client that is written, shown and removed again is a success', async () => {
  const fake = new Fake();
  const { failedBecause, seen } = await smoke(fake, settings);
  expect(failedBecause).toBeNull();
  expect(seen.at(-1)).toBe('removed “Smoke test abc”');
  expect(fake.clients.map(({ name }) => name)).toEqual(['Spotify']);
});

test('a page that never shows it is a failure that says what the page shows, and leaves nothing behind', async () => {
  const fake = new Fake();
  fake.looks = Number.POSITIVE_INFINITY;
  const { failedBecause } = await smoke(fake, settings);
  expect(failedBecause).toBe(
    'the page does not show “Smoke test abc” within 0.2 s: it answers with outcome full, and lacks “Smoke test abc”',
  );
  expect(fake.removed).toEqual(['id of Smoke test abc']);
});

test('what an earlier run left is removed first', async () => {
  const fake = new Fake();
  fake.clients.push({ id: 'old', name: `${MARK} 123` });
  expect((await smoke(fake, settings)).failedBecause).toBeNull();
  expect(fake.removed).toEqual(['old', 'id of Smoke test abc']);
});

test('without a token nothing is written, and the page has to show what the source has', async () => {
  const fake = new Fake();
  fake.mayWrite = false;
  fake.shown = [];
  const { failedBecause, seen } = await smoke(fake, settings);
  expect(failedBecause).toBeNull();
  expect(seen.at(-1)).toMatch(/^the page shows what the source has, after \d+ ms$/);
  expect(fake.clients).toHaveLength(1);

  const behind = new Fake();
  Object.assign(behind, { mayWrite: false, shown: [], looks: Number.POSITIVE_INFINITY });
  expect((await smoke(behind, settings)).failedBecause).toContain('lacks “Spotify”');
});

test('a page whose delivery is off only has to be up, and where there is no page the write is enough', async () => {
  const off = new Fake();
  off.page = async () => answer({ topClients: null });
  expect((await smoke(off, settings)).seen).toContain('the page is up; its delivery is off');
  const none = new Fake();
  none.hasPage = false;
  expect((await smoke(none, settings)).seen).toContain('no page is deployed that could show it');
});

test('a refused write fails at once; what is not up yet is tried again', async () => {
  const full = new Fake();
  full.add = async () => ({ kind: 'refused', because: 'the list is full' });
  const began = performance.now();
  expect((await smoke(full, { ...settings, deadlineMs: 60_000 })).failedBecause).toBe(
    'the client cannot be written: the list is full',
  );
  expect(performance.now() - began).toBeLessThan(10_000);

  const starting = new Fake();
  let tries = 0;
  const list = starting.list.bind(starting);
  starting.list = async () =>
    ++tries < 4 ? ({ kind: 'not yet', because: 'refused connection' } as never) : list();
  expect((await smoke(starting, settings)).failedBecause).toBeNull();
  expect(tries).toBe(4);
});

test('what cannot be removed again is a failure, for it stays in a seller’s list', async () => {
  const fake = new Fake();
  fake.remove = async () => ({ kind: 'not yet', because: 'the source is down' });
  expect((await smoke(fake, settings)).failedBecause).toBe(
    '“Smoke test abc” cannot be removed again: the source is down',
  );
});

test.each([
  [503, 'not yet'],
  [500, 'not yet'],
  [429, 'not yet'],
  [409, 'refused'],
  [401, 'refused'],
  [404, 'not yet'],
] as const)('%d is worth another try: %s', (status, kind) => {
  expect(judgeStatus('http://x/', status, undefined).kind).toBe(kind);
});

test('a problem document says why; a gig that is not there says which values to change', () => {
  const full = problem('too-many-clients', 'the list has 20 clients.');
  expect(judgeAnswer('http://x/', { outcome: 'refused', problem: full, retryAfterSeconds: null })).toEqual({
    kind: 'refused',
    because: 'http://x/ answered 409: the list has 20 clients',
  });
  expect(judgeStatus('http://x/', 404, undefined).because).toContain('see test.sellerId and test.gigId');
});

test('no answer is worth another try, unless it is one that breaks the contract', () => {
  const cause = new Error('/erasures answered 503: starting');
  expect(judgeAnswer('http://x/', { outcome: 'unknown', mayHaveArrived: true, cause })).toEqual({
    kind: 'not yet',
    because: 'http://x/ gave no answer: unknown, /erasures answered 503: starting',
  });
  const broken = { outcome: 'unknown', mayHaveArrived: true, cause: new NotTheContract('no JSON') } as const;
  expect(judgeAnswer('http://x/', broken)).toEqual({
    kind: 'refused',
    because: 'http://x/ answered what does not fit the contract: no JSON',
  });
});

test('a page is judged by the ids it shows', () => {
  const page: ShownPage = { topClients: { outcome: 'stale', clients: [{ id: 'a' }] } };
  expect(judgePage(page, [{ id: 'a', name: 'A' }])).toEqual({ kind: 'answer', value: 'shown' });
  expect(judgePage(page, [{ id: 'b', name: 'B' }])).toEqual({
    kind: 'not yet',
    because: 'it answers with outcome stale, and lacks “B”',
  });
});
