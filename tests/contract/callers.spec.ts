/** Who is limited at the source of truth: nobody for their address alone, and no page of ours that says who it is. */
import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { CALLERS, type Caller } from '#contracts/callers.ts';
import { silentLog } from '#platform/log.ts';
import { NO_SPAN } from '#platform/span.ts';
import { openMetrics } from '#role/metrics.ts';
import { credentialOf } from '../../services/auth/caller-credential.ts';
import { CALLER_KEY, credential } from '../../services/local-stack/callers.ts';
import { openMarketplace } from '../../services/smoke/marketplace.ts';
import { type CallerIdentity, openCallerIdentity } from '../../services/source-client/caller-identity.ts';
import { openPageReads } from '../../services/source-client/page-reads.ts';
import { openSourceApi } from '../../services/source-client/source-api.ts';
import { openTransport } from '../../services/source-client/transport.ts';
import { type Source, type SourceBench, startSourceBench } from '../support/source.ts';

const [PREVIOUS, NEXT, FOREIGN] = ['previous', 'next', 'foreign'].map((name) => `${name}-`.repeat(8));
/** So few that a test runs into it at once. */
const FEW = 3;
const LIST = '/v1/sellers/1/top-clients';

let bench: SourceBench;
let databaseUrl: string;
/** Connections come from 127.0.0.1: to the one they are an ingress, which the other trusts. */
let direct: Source;
let proxied: Source;
const ends: (() => unknown)[] = [];

beforeAll(async () => {
  bench = await startSourceBench();
  databaseUrl = await bench.database('callers');
  const limited = {
    TC_REQUESTS_PER_MINUTE: String(FEW),
    TC_CALLER_KEY: CALLER_KEY,
    TC_CALLER_NEXT_KEY: NEXT!,
    TC_CALLER_PREVIOUS_KEY: PREVIOUS!,
  };
  [direct, proxied] = await Promise.all([
    bench.startSource(databaseUrl, limited),
    // On every address, where IPv4 comes as IPv6.
    bench.startSource(databaseUrl, { ...limited, TC_HOST: '::', TC_TRUSTED_PROXIES: 'loopback, 10.0.0.0/8' }),
  ]);
});
afterAll(() => bench?.stop());
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

const metric = async (source: Source, series: string): Promise<number> => {
  const text = await (await fetch(`${source.healthUrl}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${series} `));
  return Number(line?.slice(series.length + 1) ?? Number.NaN);
};
/** The statuses of more requests than one stranger may send. */
const many = async (source: Source, headers: Record<string, string>, as?: number): Promise<Set<number>> => {
  const statuses = new Set<number>();
  for (let i = 0; i < 2 * FEW; i++) {
    const answer = await source.call('GET', LIST, { headers, ...(as === undefined ? {} : { as }) });
    statuses.add(answer.status);
  }
  return statuses;
};
const fine = new Set([200]);
const limited = new Set([200, 429]);
const only429 = new Set([429]);

describe('who is limited', () => {
  test('strangers who come through an ingress of a private address are limited', async () => {
    expect(await many(direct, { 'x-forwarded-for': '203.0.113.7' })).toEqual(limited);
    // All who come through it share one limit, and the log says what to do.
    expect(await many(direct, { 'x-forwarded-for': '198.51.100.1' })).toEqual(only429);
    expect(await metric(direct, 'topclients_source_senders_total{sender="proxy"}')).toBeGreaterThan(0);
    expect(await readFile(direct.process.logFile, 'utf8')).toContain('TC_TRUSTED_PROXIES');
  });

  test('pages and sellers who come the same way are not limited with them', async () => {
    const through = { 'x-forwarded-for': '203.0.113.7' };
    expect(await many(direct, through)).toEqual(only429);
    expect(await many(direct, { ...through, 'top-clients-caller': credential('gig') })).toEqual(fine);
    expect((await direct.call('GET', LIST, { headers: through, as: 71 })).status).toBe(200);
  });

  test.each([
    'a pod of 100.64.0.0/10 100.64.3.9',
    'a pod of a public IPv6 range 2a01:4f8:1:2::9',
    'a pod with a private address 10.244.0.7',
  ])('%s is limited unless it says who it is', async (about) => {
    const from = { 'x-forwarded-for': about.split(' ').at(-1)! };
    expect(await many(proxied, { ...from, 'top-clients-caller': credential('user') })).toEqual(fine);
    // 10.0.0.0/8 is trusted here, and then speaks for itself.
    expect(await many(proxied, from)).toEqual(limited);
  });

  test('a signed-in seller has a limit of their own, wherever they come from', async () => {
    const here = { 'x-forwarded-for': '203.0.113.20' };
    expect(await many(proxied, here)).toEqual(limited);
    expect((await proxied.call('GET', LIST, { headers: here, as: 72 })).status).toBe(200);
    expect(await many(proxied, { 'x-forwarded-for': '203.0.113.21' }, 72)).toEqual(limited);
    expect(await metric(proxied, 'topclients_rate_limited_total{limit="signed-in"}')).toBeGreaterThan(0);
    // A token that is none is a stranger's.
    const wrong = { ...here, authorization: 'Bearer e30.e30.e30' };
    expect(await many(proxied, wrong)).toEqual(only429);
  });

  test('an address is the same with a port, in brackets, and as IPv4 in IPv6', async () => {
    const from = (address: string) => many(proxied, { 'x-forwarded-for': address });
    expect(await from('203.0.113.30')).toEqual(limited);
    for (const same of ['203.0.113.30:4711', '::ffff:203.0.113.30'])
      expect(await from(same)).toEqual(only429);
    expect(await from('2001:db8:7::1')).toEqual(limited);
    for (const same of ['[2001:db8:7::1]:4711', '2001:db8:7::2']) expect(await from(same)).toEqual(only429);
    // What the caller claims to the left of what the proxy saw does not count.
    expect(await from('192.0.2.1, 203.0.113.30')).toEqual(only429);
    // A chain of proxies of ours.
    expect(await from('203.0.113.30, 10.0.0.3')).toEqual(only429);
    expect(await from('rubbish')).toEqual(limited);
    expect(await from('more rubbish')).toEqual(only429);
  });
});

describe('a credential', () => {
  test.each(CALLERS)('names %s in the answer and in a metric', async (caller) => {
    const answer = await proxied.call('GET', LIST, {
      headers: { 'top-clients-caller': credential(caller) },
    });
    expect([answer.status, answer.headers.get('top-clients-caller')]).toEqual([200, caller]);
    expect(await metric(proxied, `topclients_source_senders_total{sender="${caller}"}`)).toBeGreaterThan(0);
  });

  test('of a page of somebody else names the page, without anybody having told the source of it', async () => {
    const before = await metric(direct, 'topclients_source_senders_total{sender="external"}');
    for (let i = 0; i < 2 * FEW; i++) {
      const answer = await direct.call('GET', LIST, {
        headers: { 'top-clients-caller': credential('shop') },
      });
      expect([answer.status, answer.headers.get('top-clients-caller')]).toEqual([200, 'shop']);
    }
    expect(await metric(direct, 'topclients_source_senders_total{sender="external"}')).toBe(before + 2 * FEW);
  });

  test('is accepted when the key before or the next one made it, and of no other', async () => {
    const who = async (key: string) =>
      (
        await proxied.call('GET', LIST, {
          headers: { 'x-forwarded-for': '203.0.113.40', 'top-clients-caller': credentialOf(key, 'gig') },
        })
      ).headers.get('top-clients-caller');
    expect([await who(PREVIOUS!), await who(CALLER_KEY), await who(NEXT!)]).toEqual(['gig', 'gig', 'gig']);
    expect(await who(FOREIGN!)).toBe('unknown');
  });

  test.each([
    ['another caller’s', credential('gig').replace('gig', 'user')],
    ['one character less', credential('gig').slice(0, -1)],
    ['a name alone', 'gig'],
    ['a name nobody has', `nobody.${'0'.repeat(64)}`],
    ['another page’s of somebody else', credential('shop').replace('shop', 'mall')],
    ['of a name that no page can have', credentialOf(CALLER_KEY, 'a-shop-with-a-name-that-is-too-long')],
    ['of a name that is taken', credentialOf(CALLER_KEY, 'source')],
    ['a property of every object', 'constructor.prototype'],
    ['nothing', ''],
  ])('that is %s makes a stranger, who is told so and counted', async (_, sent) => {
    const before = await metric(direct, 'topclients_source_senders_total{sender="unknown"}');
    const answer = await direct.call('GET', LIST, { headers: { 'top-clients-caller': sent } });
    expect(answer.headers.get('top-clients-caller')).toBe('unknown');
    expect(await metric(direct, 'topclients_source_senders_total{sender="unknown"}')).toBe(before + 1);
    const log = await readFile(direct.process.logFile, 'utf8');
    expect(log).toContain('TC_SOURCE_CREDENTIAL');
    for (const secret of [CALLER_KEY, credential('gig'), NEXT!]) expect(log).not.toContain(secret);
  });

  test('gives no right beyond the limit: a seller’s token is asked for as ever', async () => {
    const answer = await direct.call('POST', '/v1/sellers/1/clients', {
      headers: { 'top-clients-caller': credential('self-view') },
      body: { name: 'Nike' },
    });
    expect(answer.status).toBe(401);
  });

  test('a page may have a limit of its own', async () => {
    const generous = await bench.startSource(databaseUrl, {
      TC_REQUESTS_PER_MINUTE: '1',
      TC_PAGE_REQUESTS_PER_MINUTE: '4',
      TC_CALLER_KEY: CALLER_KEY,
    });
    const statuses = [];
    for (let i = 0; i < 5; i++) {
      const headers = { 'top-clients-caller': credential('search') };
      statuses.push((await generous.call('GET', LIST, { headers })).status);
    }
    expect(statuses).toEqual([200, 200, 200, 200, 429]);
    expect(await metric(generous, 'topclients_rate_limited_total{limit="page"}')).toBe(1);
    await generous.stop();
  });
});

describe('every caller of ours says who it is', () => {
  const asked = async (caller: Caller) =>
    metric(proxied, `topclients_source_senders_total{sender="${caller}"}`);
  const identityOf = (caller: Caller, sent: string | null) => {
    const metrics = openMetrics({ processMetrics: false });
    const known = async () =>
      (await metrics.registry.metrics())
        .split('\n')
        .find((line) => line.startsWith('topclients_page_known_to_source{'));
    return { identity: openCallerIdentity(sent, caller, { log: silentLog, metrics }), known };
  };
  const transportOf = (identity: CallerIdentity) => {
    const transport = openTransport({ url: proxied.url, concurrency: 4, breakMs: 50, identity }, silentLog);
    ends.push(() => transport.close());
    return transport;
  };
  const pageSource = (identity: CallerIdentity) => openPageReads(transportOf(identity));
  const call = () => ({ deadlineMs: 5_000, requestId: 'r', span: NO_SPAN });

  test('a page for buyers, with each of its calls', async () => {
    const { identity, known } = identityOf('gig', credential('gig'));
    const source = pageSource(identity);
    const before = await asked('gig');
    for (let i = 0; i < FEW; i++) {
      const answers = [
        await source.list(1, call()),
        await source.clients(1, ['0f8d1a3e-6d3c-4b4e-9f3c-1f6d4f0a7f52'], call()),
        await source.lists([1, 2], call()),
      ];
      expect(answers.map(({ outcome }) => outcome)).toEqual(['ok', 'ok', 'ok']);
    }
    expect(await asked('gig')).toBe(before + 3 * FEW);
    expect(await known()).toBe('topclients_page_known_to_source{page="gig"} 1');
  });

  test('a page whose credential the source does not know notices it, and when it is known again', async () => {
    const headers = { 'top-clients-caller': credentialOf(FOREIGN!, 'gig') };
    const { identity, known } = identityOf('gig', credential('gig'));
    const swapped = { ...identity, headers };
    expect((await pageSource(swapped).list(1, call())).outcome).toBe('ok');
    expect(await known()).toBe('topclients_page_known_to_source{page="gig"} 0');
    expect((await pageSource(identity).list(1, call())).outcome).toBe('ok');
    expect(await known()).toBe('topclients_page_known_to_source{page="gig"} 1');
    const without = identityOf('user', null);
    expect(await without.known()).toBe('topclients_page_known_to_source{page="user"} 0');
  });

  test('the self-view, reading and writing', async () => {
    const { identity, known } = identityOf('self-view', credential('self-view'));
    const source = openSourceApi(transportOf(identity));
    const before = await asked('self-view');
    for (let i = 0; i < 2 * FEW; i++) expect((await source.list(900, call())).outcome).toBe('ok');
    const client = { name: 'Nike', industry: '', description: '', logo: null, from: null, to: null };
    const token = await bench.issuer.token(900);
    const terms = { token, ifMatch: 0, idempotencyKey: 'one' };
    expect((await source.add(900, client, terms, call())).outcome).toBe('ok');
    expect(await asked('self-view')).toBe(before + 2 * FEW + 1);
    expect(await known()).toBe('topclients_page_known_to_source{page="self-view"} 1');
  });

  test('the test that follows an installation', async () => {
    const before = await asked('smoke');
    const marketplace = openMarketplace({
      sourceUrl: proxied.url,
      sellerId: 901,
      token: await bench.issuer.token(901),
      sourceCredential: credential('smoke'),
      callDeadlineMs: 5_000,
    });
    ends.push(() => marketplace.close());
    for (let i = 0; i < FEW; i++) expect((await marketplace.list()).kind).toBe('answer');
    const added = await marketplace.add('Smoke test 1');
    expect(added.kind).toBe('answer');
    expect((await marketplace.remove(added.kind === 'answer' ? added.value.id : '')).kind).toBe('answer');
    expect(await asked('smoke')).toBe(before + FEW + 2);
  });
});
