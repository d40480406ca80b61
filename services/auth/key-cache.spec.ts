import { createServer } from 'node:http';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import type { Clock } from '#platform/clock.ts';
import { listen } from '#platform/listen.ts';
import { type Log, silentLog } from '#platform/log.ts';
import { type Metrics, openMetrics } from '#role/metrics.ts';
import { identityConfig } from './testing/identity.ts';
import { type Identity, openIdentity } from './verifier.ts';

const MINUTE = 60_000;
const ISSUER = 'https://login.example.com/';

/** Stands still until it is moved. */
class ManualClock implements Clock {
  #now = Date.parse('2026-11-01T12:00:00Z');
  #waiting = new Set<{ due: number; wake: () => void }>();
  now = () => this.#now;
  monotonic = () => this.#now;
  pause = (ms: number, signal?: AbortSignal) =>
    new Promise<void>((resolve) => {
      if (signal?.aborted) return resolve();
      const wake = () => {
        this.#waiting.delete(one);
        resolve();
      };
      const one = { due: this.#now + ms, wake };
      this.#waiting.add(one);
      signal?.addEventListener('abort', wake, { once: true });
    });
  advance(ms: number): void {
    this.#now += ms;
    for (const one of [...this.#waiting]) if (one.due <= this.#now) one.wake();
  }
}

/** A provider whose keys and moods a test chooses. */
const provider = { keys: [] as JWK[], status: 200, asked: 0, hangs: false };
const server = createServer((_, res) => {
  provider.asked += 1;
  if (provider.hangs) return;
  res.writeHead(provider.status).end(JSON.stringify({ keys: provider.keys }));
});
let jwksUrl: string;
let first: Signer;
let second: Signer;
interface Signer {
  readonly jwk: JWK;
  token(lifetimeMs?: number): Promise<string>;
}

let clock: ManualClock;
let metrics: Metrics;
let identity: Identity;
let told: string[];
const open: Identity[] = [];
const log: Log = {
  ...silentLog,
  info: (_: unknown, text: string) => void told.push(`info ${text}`),
  warn: (_: unknown, text: string) => void told.push(`warn ${text}`),
  error: (_: unknown, text: string) => void told.push(`error ${text}`),
} as unknown as Log;

const signer = async (kid: string): Promise<Signer> => {
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  return {
    jwk: { ...(await exportJWK(publicKey)), kid },
    token: (lifetimeMs = 24 * 60 * MINUTE) =>
      new SignJWT({ sub: '7' })
        .setProtectedHeader({ alg: 'ES256', kid })
        .setIssuer(ISSUER)
        .setAudience('shop')
        .setExpirationTime(new Date(clock.now() + lifetimeMs))
        .sign(privateKey),
  };
};
const start = (env: Readonly<Record<string, string>> = {}) => {
  const config = identityConfig({ jwksUrl, issuer: ISSUER, audience: 'shop' }, env);
  metrics = openMetrics({ processMetrics: false });
  identity = openIdentity(config, { log, metrics, clock });
  open.push(identity);
};
const metric = async (name: string) => {
  const text = await metrics.registry.metrics();
  return Number(new RegExp(`^topclients_identity_${name} (\\S+)$`, 'm').exec(text)?.[1]);
};
const fetches = (result: 'ok' | 'failed') => metric(`key_fetches_total{result="${result}"}`);
const until = async (holds: () => boolean | Promise<boolean>) => {
  while (!(await holds())) await new Promise(setImmediate);
};
/** Moves the clock on and waits until what that set off has ended, well or not. */
const later = async (ms: number) => {
  const before = (await fetches('ok')) + (await fetches('failed'));
  clock.advance(ms);
  await until(async () => (await fetches('ok')) + (await fetches('failed')) > before);
};
const verdictOn = async (token: string) => {
  const verdict = await identity.verify(token);
  return 'why' in verdict ? verdict.why : verdict.kind;
};

beforeAll(async () => {
  clock = new ManualClock();
  jwksUrl = `http://127.0.0.1:${await listen(server, 0, '127.0.0.1')}/keys`;
  first = await signer('first');
  second = await signer('second');
});
beforeEach(() => {
  clock = new ManualClock();
  told = [];
  Object.assign(provider, { keys: [first.jwk], status: 200, asked: 0, hangs: false });
});
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});
afterAll(() => {
  server.close();
  server.closeAllConnections();
});

test('a provider that is away keeps nobody out for an hour; from then on nobody is let in', async () => {
  start();
  const token = await first.token();
  expect(await verdictOn(token)).toBe('caller');
  provider.status = 503;
  await later(5 * MINUTE);
  for (let minute = 5; minute < 60; minute += 5) {
    expect([minute, await verdictOn(token)]).toEqual([minute, 'caller']);
    expect(identity.notReadyBecause()).toBeNull();
    await later(5 * MINUTE);
  }
  // The keys are as old as they may be to the millisecond: one more, and they are too old.
  expect(await verdictOn(token)).toBe('caller');
  clock.advance(1);
  expect(await verdictOn(token)).toBe('unavailable');
  expect(identity.notReadyBecause()).toMatch(/cannot be had: .*\/keys answered 503/);
});

test('once the provider is back everybody is let in again, and the log tells beginning, end and what came between', async () => {
  start({ TC_JWKS_MAX_AGE_MS: String(10 * MINUTE) });
  const token = await first.token();
  await verdictOn(token);
  provider.status = 503;
  await later(5 * MINUTE);
  await later(5 * MINUTE + 1);
  expect(await verdictOn(token)).toBe('unavailable');
  provider.status = 200;
  await later(5_000);
  expect(await verdictOn(token)).toBe('caller');
  expect(identity.notReadyBecause()).toBeNull();
  expect(told.map((line) => line.split(' of tokens')[0])).toEqual([
    'info fetched the keys',
    'warn the keys',
    'error the keys',
    'info fetched the keys',
  ]);
});

test('a key that the provider withdrew is trusted until the next refresh and no longer', async () => {
  provider.keys = [first.jwk, second.jwk];
  start();
  const token = await first.token();
  expect(await verdictOn(token)).toBe('caller');
  provider.keys = [second.jwk];
  clock.advance(5 * MINUTE - 1);
  expect(await verdictOn(token)).toBe('caller');
  await later(1);
  expect(await verdictOn(token)).toBe('the token is signed by an unknown key');
  expect(await verdictOn(await second.token())).toBe('caller');
});

test('a withdrawn key is not trusted again because the provider goes away', async () => {
  provider.keys = [first.jwk, second.jwk];
  start();
  await verdictOn(await second.token());
  provider.keys = [second.jwk];
  await later(5 * MINUTE);
  provider.status = 503;
  await later(5 * MINUTE);
  // It could be a key that the provider has just made.
  expect(await verdictOn(await first.token())).toBe('unavailable');
  expect(await verdictOn(await second.token())).toBe('caller');
});

test('a set without usable keys is a mistake of the provider, not the end of every session', async () => {
  start();
  const token = await first.token();
  await verdictOn(token);
  provider.keys = [];
  await later(5 * MINUTE);
  expect(await verdictOn(token)).toBe('caller');
  await later(55 * MINUTE + 1);
  expect(await verdictOn(token)).toBe('unavailable');
});

test('a new key works at its first token, and tokens of unknown keys do not flood the provider', async () => {
  start();
  await verdictOn(await first.token());
  expect(provider.asked).toBe(1);
  provider.keys = [second.jwk];
  clock.advance(10_000);
  expect(await verdictOn(await second.token())).toBe('caller');
  expect(provider.asked).toBe(2);
  const unknown = await first.token();
  await Promise.all(Array.from({ length: 500 }, () => verdictOn(unknown)));
  expect(provider.asked).toBe(2);
  clock.advance(10_000);
  const verdicts = await Promise.all(Array.from({ length: 500 }, () => verdictOn(unknown)));
  expect(provider.asked).toBe(3);
  // Who waits for the answer is bounded; all others come back later.
  expect(
    Object.groupBy(verdicts, (verdict) => verdict)['the token is signed by an unknown key'],
  ).toHaveLength(32);
  expect(await verdictOn(await second.token())).toBe('caller');
});

test('a provider that fails is asked again after longer and longer, however many tokens want keys', async () => {
  provider.status = 503;
  start();
  await until(async () => (await fetches('failed')) === 1);
  const token = await first.token();
  const since = clock.now();
  while (clock.now() < since + MINUTE) {
    await Promise.all(Array.from({ length: 20 }, () => verdictOn(token)));
    clock.advance(100);
    await new Promise(setImmediate);
  }
  // Twelve to twenty-four times five seconds, or half of that; and the first ones sooner.
  expect(provider.asked).toBeLessThanOrEqual(28);
  expect(provider.asked).toBeGreaterThanOrEqual(12);
});

test('while the provider does not answer, nobody waits for it long, and known keys do not wait at all', async () => {
  start({ TC_JWKS_TIMEOUT_MS: '60000' });
  const token = await first.token();
  await verdictOn(token);
  provider.hangs = true;
  clock.advance(10_000);
  const waiting = verdictOn(await second.token());
  await until(() => provider.asked === 2);
  expect(await verdictOn(token)).toBe('caller');
  clock.advance(500);
  expect(await waiting).toBe('unavailable');
});

test('metrics tell when the keys were fetched, what became of requests for them, and how tokens are judged', async () => {
  provider.status = 500;
  start();
  await until(async () => (await fetches('failed')) === 1);
  expect(await metric('keys_fetched_timestamp_seconds')).toBe(0);
  provider.status = 200;
  await later(1_000);
  expect(await metric('keys_fetched_timestamp_seconds')).toBe(clock.now() / 1_000);
  await verdictOn(await first.token());
  await verdictOn(await first.token(-MINUTE));
  await verdictOn('nonsense');
  const judged = (result: string) => metric(`tokens_total{result="${result}"}`);
  expect([await judged('valid'), await judged('expired'), await judged('invalid')]).toEqual([1, 1, 1]);
});
