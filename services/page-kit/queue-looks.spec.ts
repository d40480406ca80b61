import { expect, test } from '@jest/globals';
import type { Clock } from '#platform/clock.ts';
import { SharedSession } from '#platform/postgres.ts';
import { QueueLooks } from './queue-looks.ts';

const BACKEND = 7;

/** A session on which every statement comes out as given. */
function sessionOf(answer: () => Promise<{ rows: object[] }>) {
  const asked: string[] = [];
  const ended = new AbortController();
  const why: Error[] = [];
  const client = {
    query: (statement: string | { text: string }) => {
      asked.push(typeof statement === 'string' ? statement : statement.text);
      return answer();
    },
  };
  const looks = new QueueLooks(client as never, BACKEND, ended.signal, (err) => {
    why.push(err);
    ended.abort();
  });
  return { looks, asked, why, ended };
}
const look = (used: number, backend = BACKEND) => ({ rows: [{ used, backend }] });
const REPORT = { name: 'report', text: 'report', values: [] };

/** Pauses end when they are cut short, or when the test says so. */
function heldClock() {
  const pauses: { ms: number; end(): void }[] = [];
  const clock: Pick<Clock, 'pause'> = {
    pause: (ms, signal) =>
      new Promise((resolve) => {
        signal?.addEventListener('abort', () => resolve());
        pauses.push({ ms, end: resolve });
      }),
  };
  return { pauses, clock: clock as Clock };
}

test('the queue is asked for every two seconds, and half a second later while another statement tells of it', async () => {
  const { looks, asked } = sessionOf(async () => look(0.1));
  const { pauses, clock } = heldClock();
  expect(await looks.next()).toBe(0.1);
  const first = looks.untilDue(clock);
  looks.looked({ used: 0.2, backend: BACKEND });
  await first;
  expect(await looks.next()).toBe(0.2);
  expect(asked).toHaveLength(1);

  const second = looks.untilDue(clock);
  pauses[1]!.end();
  await second;
  expect(await looks.next()).toBe(0.1);
  expect(asked).toHaveLength(2);
  expect(pauses.map(({ ms }) => ms)).toEqual([2_000, 2_500]);
});

test('what is told while nobody waits is taken at the next look', async () => {
  const { looks, asked } = sessionOf(async () => look(0.1));
  const { pauses, clock } = heldClock();
  await looks.next();
  looks.looked({ used: 0.3, backend: BACKEND });
  await looks.untilDue(clock);
  expect([await looks.next(), asked.length, pauses.length]).toEqual([0.3, 1, 0]);
});

test('a session that has become another one is given up, whoever is told of it', async () => {
  for (const isTold of [false, true]) {
    const { looks, why } = sessionOf(async () => look(0, BACKEND + 1));
    if (isTold) looks.looked({ used: 0, backend: BACKEND + 1 });
    expect(await looks.next()).toBeNull();
    expect(why).toEqual([expect.any(SharedSession)]);
  }
});

test('a statement without an answer gives the session up, one that is refused does not', async () => {
  const silent = sessionOf(() => Promise.reject(new Error('Query read timeout')));
  await expect(silent.looks.query(REPORT)).rejects.toThrow('Query read timeout');
  expect(silent.why.map(({ message }) => message)).toEqual(['Query read timeout']);

  const refused = Object.assign(new Error('no space left'), { severity: 'ERROR', code: '53100' });
  const full = sessionOf(() => Promise.reject(refused));
  await expect(full.looks.query(REPORT)).rejects.toThrow('no space left');
  expect(full.why).toEqual([]);
});

test('the end of the session ends the wait', async () => {
  const { looks, ended } = sessionOf(async () => look(0));
  const { clock } = heldClock();
  const waiting = looks.untilDue(clock);
  ended.abort();
  await waiting;
  await looks.untilDue(clock);
});
