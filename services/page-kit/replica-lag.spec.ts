import { expect, test } from '@jest/globals';
import { silentLog } from '#platform/log.ts';
import { askReplica, followReplica, type Position, ReplicaLag } from './replica-lag.ts';

const standbyAt = (position: number | null, replayedAll = true): Position => ({
  is_standby: true,
  position,
  replayed_all: replayedAll,
});

test('a standby is as old as the last look at the primary that it has passed', () => {
  const lag = new ReplicaLag();
  lag.primaryWasAt(100, 1_000);
  lag.primaryWasAt(200, 2_000);
  lag.primaryWasAt(300, 3_000);
  expect([300, 299, 200, 150].map((position) => lag.of(standbyAt(position)))).toEqual([
    0, 1_000, 1_000, 2_000,
  ]);
  expect(lag.of(standbyAt(99))).toBe(Number.POSITIVE_INFINITY);
  expect(lag.of(standbyAt(null))).toBe(Number.POSITIVE_INFINITY);
});

test('where nothing is written nobody falls behind', () => {
  const lag = new ReplicaLag();
  for (let at = 0; at < 100_000; at += 1_000) lag.primaryWasAt(100, at);
  expect(lag.of(standbyAt(100))).toBe(0);
});

test('a primary that took over and has less than the one before it makes nobody look old', () => {
  const lag = new ReplicaLag();
  lag.primaryWasAt(500, 1_000);
  lag.primaryWasAt(400, 2_000);
  expect(lag.of(standbyAt(400))).toBe(0);
});

test('before the primary was ever heard, a standby counts when it has replayed all that it received', () => {
  const lag = new ReplicaLag();
  expect(lag.of(standbyAt(100))).toBe(0);
  expect(lag.of(standbyAt(100, false))).toBe(Number.POSITIVE_INFINITY);
});

test('an instance that is no standby any more is not behind', () => {
  const lag = new ReplicaLag();
  lag.primaryWasAt(500, 1_000);
  expect(lag.of({ is_standby: false, position: 10, replayed_all: true })).toBe(0);
});

test('the lag stands still while the primary is not heard, and each change of the replica is logged once', async () => {
  const stopping = new AbortController();
  let now = 0;
  const said: string[] = [];
  const log = {
    ...silentLog,
    info: (_: object, text: string) => said.push(text),
    warn: (_: object, text: string) => said.push(text),
  };
  const at = (position: number | null) =>
    position === null ? Promise.reject(new Error('away')) : Promise.resolve({ rows: [standbyAt(position)] });
  // By second: the primary, the replica.
  const seconds: [number | null, number | null][] = [
    [100, 100],
    [100, 100],
    [900, 100],
    [1_000, 100],
    [null, 100],
    [null, 900],
    [null, null],
    [null, null],
    [null, 1_000],
  ];
  const asked = (which: 0 | 1) => ({
    query: async () => {
      const answer = await at(seconds[now / 1_000]![which]);
      return { rows: [{ ...answer.rows[0]!, is_standby: which === 1 }] };
    },
    release: () => {},
  });
  const lag = new ReplicaLag();
  const until: number[] = [];
  await followReplica(
    { primary: asked(0) as never, replica: { connect: async () => asked(1) as never } },
    lag,
    { longestMs: 1_500, observer: { hasAllUntil: (ms) => until.push(ms) } },
    stopping.signal,
    log as never,
    {
      now: () => now,
      monotonic: () => now,
      pause: async (ms, signal) => {
        // The deadline of a question does not pass here.
        if (signal !== stopping.signal) return new Promise(() => {});
        now += ms;
        if (now / 1_000 >= seconds.length) stopping.abort();
      },
    },
  );
  expect(said).toEqual([
    'the replica of the database of the page is current',
    'the replica of the database of the page is too far behind to be read',
    'the replica of the database of the page is current',
    'the replica of the database of the page does not answer',
    'the replica of the database of the page is current',
  ]);
  expect(lag.of(standbyAt(900))).toBe(1_000);
});

test.each([
  ['has answered', null, standbyAt(1), false],
  ['refused the statement', { code: '42P01' }, standbyAt(1), false],
  ['took too long', { code: '57014' }, standbyAt(1), true],
  ['shuts down', { code: '57P01' }, standbyAt(1), true],
  ['was promoted', null, { ...standbyAt(1), is_standby: false }, true],
])('what becomes of the connection to a replica that %s', async (_, fault, position, isGivenUp) => {
  const released: unknown[] = [];
  const client = {
    query: async ({ name }: { name: string }) => {
      if (name === 'asked' && fault) throw Object.assign(new Error('refused'), fault);
      return { rows: name === 'asked' ? [] : [position] };
    },
    release: (broken?: Error) => released.push(broken),
  };
  const pool = { connect: async () => client } as unknown as Parameters<typeof askReplica>[0];
  await askReplica(pool, { name: 'asked', text: '', values: [] }).catch(() => {});
  expect(released.map((broken) => broken !== undefined)).toEqual([isGivenUp]);
});
