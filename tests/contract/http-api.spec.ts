/** The HTTP contract of the source of truth, judged from outside: a process, a real PostgreSQL, real tokens. */
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { SignJWT } from 'jose';
import { BatchGetAnswer, Erasures, History, SellerClients } from '../../services/contracts/api.ts';
import { CANARY_SELLER } from '../../services/contracts/canary.ts';
import { Client, LIMITS } from '../../services/contracts/client.ts';
import { ErasureReceipt } from '../../services/contracts/erasures.ts';
import { decodeEvent } from '../../services/contracts/event-codec.ts';
import {
  PROBLEM_MEDIA_TYPE,
  PROBLEMS,
  Problem,
  type ProblemType,
} from '../../services/contracts/problems.ts';
import { credential } from '../../services/local-stack/callers.ts';
import { MOST_BODY_BYTES } from '../../services/platform/request-body.ts';
import { type CallAnswer, type Source, type SourceBench, startSourceBench } from '../support/source.ts';

let bench: SourceBench;
const AS_SELF_VIEW = { 'top-clients-caller': credential('self-view') };
let source: Source;

beforeAll(async () => {
  bench = await startSourceBench();
  source = await bench.startSource(await bench.database('source'));
});
afterAll(() => bench?.stop());

let sellers = 1_000;
/** A seller that no other test knows. */
const newSeller = () => ++sellers;
const listOf = (seller: number) => `/v1/sellers/${seller}/top-clients`;
const clientsOf = (seller: number) => `/v1/sellers/${seller}/clients`;

const read = async (seller: number, from = source): Promise<SellerClients> =>
  SellerClients.parse((await from.call('GET', listOf(seller))).body);
async function add(seller: number, name: string, more: Record<string, unknown> = {}): Promise<Client> {
  const answer = await source.call('POST', clientsOf(seller), { as: seller, body: { name, ...more } });
  expect(answer.status).toBe(201);
  return Client.parse(answer.body);
}
const outbox = (seller: number) =>
  source.query<{ bucket: number; version: number; type: string; value: string | null; traceparent: string }>(
    'select bucket, version, type, value, traceparent from outbox where seller_id = $1 order by id',
    [seller],
  );

function expectProblem(answer: CallAnswer, type: ProblemType): Problem {
  expect(answer).toMatchObject({
    status: PROBLEMS[type].status,
    problem: { type: `urn:top-clients:problem:${type}` },
  });
  expect(answer.headers.get('content-type')).toBe(PROBLEM_MEDIA_TYPE);
  expect(answer.text).not.toMatch(/node_modules|\.ts:|at .*\(/);
  const problem = Problem.parse(answer.body);
  expect(problem.detail).not.toBe('');
  expect(problem.instance).toBe(answer.headers.get('x-request-id'));
  return problem;
}

describe('what it answers', () => {
  test('a seller without clients has an empty list at version 0', async () => {
    const seller = newSeller();
    const answer = await source.call('GET', listOf(seller));
    expect(answer).toMatchObject({
      status: 200,
      body: { sellerId: seller, version: 0, clients: [], updatedAt: null },
    });
    expect(answer.headers.get('etag')).toBe('"0"');
  });

  test('a client that was added stands in the list, at its address and in the outbox', async () => {
    const seller = newSeller();
    const body = { name: ' Spotify ', industry: 'Music', logo: 'spotify', from: '2020-01' };
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const answer = await source.call('POST', clientsOf(seller), {
      as: seller,
      body,
      headers: { traceparent },
    });
    expect(answer.status).toBe(201);
    const client = Client.parse(answer.body);
    expect(client).toEqual({ ...body, id: client.id, name: 'Spotify', description: '', to: null });
    expect(answer.headers.get('etag')).toBe('"1"');
    expect(answer.headers.get('location')).toBe(`${clientsOf(seller)}/${client.id}`);
    expect(answer.headers.get('traceparent')).toBeNull();

    const there = await source.call('GET', answer.headers.get('location')!);
    expect(there).toMatchObject({ status: 200, body: client });
    expect(there.headers.get('etag')).toBe('"1"');

    const list = await read(seller);
    expect(list).toEqual({ sellerId: seller, version: 1, clients: [client], updatedAt: expect.any(String) });

    const [row, ...others] = await outbox(seller);
    expect(others).toEqual([]);
    expect(row).toMatchObject({ version: 1, type: 'client-added', traceparent });
    expect(decodeEvent({ key: String(seller), value: row!.value, type: null }).kind).toBe('event');
    expect(JSON.parse(row!.value!)).toEqual({
      sellerId: seller,
      version: 1,
      committedAt: list.updatedAt,
      change: { type: 'client-added', client, position: 0 },
      clients: [client],
    });
  });

  test('a change without a trace begins one', async () => {
    const seller = newSeller();
    await add(seller, 'Spotify');
    expect((await outbox(seller))[0]!.traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
  });

  test('a merge patch changes what it names and clears what it nulls', async () => {
    const seller = newSeller();
    const client = await add(seller, 'Spotify', { industry: 'Music', from: '2020-01' });
    for (const type of ['application/merge-patch+json', 'application/json; charset=UTF-8']) {
      const body = { name: `Spotify ${type.length}`, from: null };
      const answer = await source.call('PATCH', `${clientsOf(seller)}/${client.id}`, {
        as: seller,
        body,
        headers: { 'content-type': type },
      });
      expect(answer).toMatchObject({ status: 200, body: { ...client, ...body } });
    }
    expect(await read(seller)).toMatchObject({ version: 3, clients: [{ industry: 'Music', from: null }] });
  });

  test('what changes nothing is answered with the version as it is, and commits nothing', async () => {
    const seller = newSeller();
    const client = await add(seller, 'Spotify');
    const patch = await source.call('PATCH', `${clientsOf(seller)}/${client.id}`, {
      as: seller,
      body: { name: 'Spotify' },
    });
    expect(patch).toMatchObject({ status: 200, body: client });
    expect(patch.headers.get('etag')).toBe('"1"');
    const before = await read(seller);
    const order = await source.call('PUT', `${clientsOf(seller)}/order`, {
      as: seller,
      body: { clientIds: [client.id] },
    });
    expect(order).toMatchObject({ status: 200, body: before });
    expect(await outbox(seller)).toHaveLength(1);
  });

  test('a removed client is gone, its address too', async () => {
    const seller = newSeller();
    const client = await add(seller, 'Spotify');
    const answer = await source.call('DELETE', `${clientsOf(seller)}/${client.id}`, { as: seller });
    expect(answer).toMatchObject({ status: 204, text: '' });
    expect(answer.headers.get('etag')).toBe('"2"');
    expect(await read(seller)).toMatchObject({ version: 2, clients: [] });
    expectProblem(await source.call('GET', `${clientsOf(seller)}/${client.id}`), 'not-found');
  });

  test('an order puts the list into it', async () => {
    const seller = newSeller();
    const ids = [];
    for (const name of ['A', 'B', 'C']) ids.unshift((await add(seller, name)).id);
    // The case of an id does not matter.
    const clientIds = ids.map((id) => id.toUpperCase());
    const answer = await source.call('PUT', `${clientsOf(seller)}/order`, {
      as: seller,
      body: { clientIds },
    });
    expect(answer.status).toBe(200);
    expect(SellerClients.parse(answer.body).clients.map(({ id }) => id)).toEqual(ids);
    expect(await read(seller)).toEqual(answer.body);
  });

  test('the enrichment answers those ids that are in the list, in its order', async () => {
    const seller = newSeller();
    const [a, , c] = [await add(seller, 'A'), await add(seller, 'B'), await add(seller, 'C')];
    const answer = await source.call(
      'GET',
      `${clientsOf(seller)}?ids=${c!.id.toUpperCase()},${randomUUID()},${a!.id}`,
    );
    expect(answer).toMatchObject({ status: 200, body: { sellerId: seller, version: 3, clients: [a, c] } });
    SellerClients.parse(answer.body);
    const nobody = await source.call('GET', `${clientsOf(newSeller())}?ids=${randomUUID()}`);
    expect(nobody).toMatchObject({ status: 200, body: { version: 0, clients: [] } });
  });

  test('a batch answers a list a seller, in the order asked for', async () => {
    const [one, none, two] = [newSeller(), newSeller(), newSeller()];
    await add(one, 'A');
    await add(two, 'B');
    const sellerIds = [two, none, one];
    const answer = await source.call('POST', '/v1/top-clients/batch-get', { body: { sellerIds } });
    expect(answer.status).toBe(200);
    const { sellers: lists, remaining } = BatchGetAnswer.parse(answer.body);
    expect(lists).toEqual(await Promise.all(sellerIds.map((seller) => read(seller))));
    expect(remaining).toEqual([]);
  });

  test('a batch has so many bytes, and says whose lists it left out', async () => {
    const sellerIds = Array.from({ length: 30 }, newSeller);
    const clients = JSON.stringify(
      Array.from({ length: LIMITS.clientsPerSeller }, () => ({
        id: randomUUID(),
        name: 'A',
        industry: '',
        description: '𝔸'.repeat(LIMITS.descriptionLength),
        logo: null,
        from: null,
        to: null,
      })),
    );
    await source.query(
      'insert into seller (seller_id, version, clients, updated_at) select id, 1, $2, now() from unnest($1::bigint[]) id',
      [sellerIds, clients],
    );
    const seen: number[] = [];
    for (let asked = sellerIds; asked.length > 0; ) {
      const answer = await source.call('POST', '/v1/top-clients/batch-get', { body: { sellerIds: asked } });
      expect(Buffer.byteLength(answer.text)).toBeLessThan(LIMITS.batchGetBytes + 10_000);
      const { sellers: lists, remaining } = BatchGetAnswer.parse(answer.body);
      const there = lists.map(({ sellerId }) => sellerId);
      expect([...there, ...remaining]).toEqual(asked);
      seen.push(...there);
      asked = remaining;
    }
    expect(seen).toEqual(sellerIds);
  });

  test('the history comes by pages, oldest first', async () => {
    const seller = newSeller();
    const client = await add(seller, 'A');
    await add(seller, 'B');
    await source.call('DELETE', `${clientsOf(seller)}/${client.id}`, { as: seller });
    const page = async (query: string) =>
      History.parse((await source.call('GET', `/v1/sellers/${seller}/history${query}`, { as: seller })).body);
    const all = await page('');
    expect(all.entries.map(({ version, type }) => [version, type])).toEqual([
      [1, 'client-added'],
      [2, 'client-added'],
      [3, 'client-removed'],
    ]);
    expect(all.next).toBeNull();
    expect(all.entries[2]!.change).toEqual({ type: 'client-removed', clientId: client.id });
    const first = await page('?limit=2');
    expect(first).toEqual({ sellerId: seller, entries: all.entries.slice(0, 2), next: 2 });
    expect(await page(`?limit=2&after=${first.next}`)).toEqual({
      sellerId: seller,
      entries: all.entries.slice(2),
      next: null,
    });
    expect(await page('?after=99')).toEqual({ sellerId: seller, entries: [], next: null });
  });

  test('what changes said is for the seller and for auditors, others see versions, types and times', async () => {
    const seller = newSeller();
    const client = await add(seller, 'Hidden brand', { description: 'Hidden words' });
    await source.call('DELETE', `${clientsOf(seller)}/${client.id}`, { as: seller });
    const history = async (token?: string) => {
      const answer = await source.call('GET', `/v1/sellers/${seller}/history`, token ? { token } : {});
      expect(answer.headers.get('vary')).toBe('Authorization');
      return { answer, entries: History.parse(answer.body).entries };
    };
    const { issuer } = bench;
    for (const token of [
      undefined,
      await issuer.token(newSeller()),
      await issuer.token('somebody', { scope: 'top-clients:erase top-clients:audits' }),
    ]) {
      const { answer, entries } = await history(token);
      expect(answer.text).not.toMatch(/Hidden/);
      expect(answer.text).not.toContain(client.id);
      expect(entries).toEqual([
        { version: 1, type: 'client-added', committedAt: expect.any(String) },
        { version: 2, type: 'client-removed', committedAt: expect.any(String) },
      ]);
    }
    for (const token of [
      await issuer.token(seller),
      await issuer.token('somebody', { scope: 'openid top-clients:audit' }),
    ]) {
      const { answer, entries } = await history(token);
      expect(entries[0]!.change).toEqual({ type: 'client-added', client, position: 0 });
      expect(answer.headers.get('cache-control')).toBe('no-store');
    }
    const invalid = await source.call('GET', `/v1/sellers/${seller}/history`, { token: 'a.b.c' });
    expectProblem(invalid, 'unauthenticated');
  });

  test('the OpenAPI document names every address', async () => {
    const { status, body } = await source.call('GET', '/v1/openapi.json');
    expect(status).toBe(200);
    expect(body.openapi).toMatch(/^3\.1/);
    expect(Object.keys(body.paths).sort()).toEqual([
      '/erasures',
      '/erasures/{erasureId}',
      '/openapi.json',
      '/sellers/{sellerId}',
      '/sellers/{sellerId}/clients',
      '/sellers/{sellerId}/clients/order',
      '/sellers/{sellerId}/clients/{clientId}',
      '/sellers/{sellerId}/history',
      '/sellers/{sellerId}/top-clients',
      '/top-clients/batch-get',
    ]);
  });

  test('HEAD answers as GET does, without the body', async () => {
    const seller = newSeller();
    await add(seller, 'A');
    const [get, head] = [await source.call('GET', listOf(seller)), await source.call('HEAD', listOf(seller))];
    expect(head).toMatchObject({ status: 200, text: '' });
    for (const name of ['etag', 'content-length', 'content-type']) {
      expect(head.headers.get(name)).toBe(get.headers.get(name));
    }
  });

  test('HTML in a name is data like any other', async () => {
    const seller = newSeller();
    const client = await add(seller, '<script>alert("1")</script> 😀');
    expect((await read(seller)).clients).toEqual([client]);
  });

  test('a request id of the caller is kept, one that is not sane is replaced', async () => {
    const ask = async (id: string) =>
      (await source.call('GET', listOf(1), { headers: { 'x-request-id': id } })).headers.get('x-request-id');
    expect(await ask('abc-123')).toBe('abc-123');
    expect(await ask('a b"c')).toMatch(/^[0-9a-f-]{36}$/);
    expect(await ask('x'.repeat(200))).toMatch(/^[0-9a-f-]{36}$/);
  });
});

describe('preconditions', () => {
  test('a read with the current version is 304, with another one 200', async () => {
    const seller = newSeller();
    const client = await add(seller, 'A');
    const paths = [
      listOf(seller),
      `${clientsOf(seller)}/${client.id}`,
      `${clientsOf(seller)}?ids=${client.id}`,
    ];
    for (const path of paths) {
      for (const tag of ['"1"', 'W/"1"', '"7", "1"', '*']) {
        const answer = await source.call('GET', path, { headers: { 'if-none-match': tag } });
        expect(answer).toMatchObject({ status: 304, text: '' });
        expect(answer.headers.get('etag')).toBe('"1"');
      }
      expect((await source.call('GET', path, { headers: { 'if-none-match': '"0"' } })).status).toBe(200);
    }
  });

  test.each(['"1"', '*', '"0", "1"', 'W/"0", "1"'])(
    'a write with If-Match %s meets version 1',
    async (tag) => {
      const seller = newSeller();
      await add(seller, 'A');
      const answer = await source.call('POST', clientsOf(seller), {
        as: seller,
        body: { name: 'B' },
        headers: { 'if-match': tag },
      });
      expect(answer.status).toBe(201);
    },
  );

  test.each(['"0"', '"2"', 'W/"1"', '"x"', '"01"', '""'])(
    'a write with If-Match %s does not',
    async (tag) => {
      const seller = newSeller();
      const client = await add(seller, 'A');
      const headers = { 'if-match': tag };
      const answers = [
        await source.call('POST', clientsOf(seller), { as: seller, body: { name: 'B' }, headers }),
        await source.call('PATCH', `${clientsOf(seller)}/${client.id}`, {
          as: seller,
          body: { name: 'B' },
          headers,
        }),
        await source.call('DELETE', `${clientsOf(seller)}/${client.id}`, { as: seller, headers }),
        await source.call('PUT', `${clientsOf(seller)}/order`, {
          as: seller,
          body: { clientIds: [client.id] },
          headers,
        }),
      ];
      for (const answer of answers) {
        expectProblem(answer, 'precondition-failed');
        expect(answer.headers.get('etag')).toBe('"1"');
      }
      expect(await read(seller)).toMatchObject({ version: 1, clients: [client] });
    },
  );

  test.each(['*', '"1"', 'W/"1"', '"7", "1"'])(
    'no kind of write is done to version 1 with If-None-Match %s',
    async (tag) => {
      const seller = newSeller();
      const client = await add(seller, 'A');
      const path = `${clientsOf(seller)}/${client.id}`;
      const headers = { 'if-none-match': tag };
      const erasing = await bench.issuer.token('operator', { scope: 'top-clients:erase' });
      const answers = [
        await source.call('POST', clientsOf(seller), { as: seller, body: { name: 'B' }, headers }),
        await source.call('PATCH', path, { as: seller, body: { name: 'B' }, headers }),
        await source.call('PUT', `${clientsOf(seller)}/order`, {
          as: seller,
          body: { clientIds: [client.id] },
          headers,
        }),
        await source.call('DELETE', path, { as: seller, headers }),
        await source.call('DELETE', `/v1/sellers/${seller}`, { token: erasing, headers }),
      ];
      for (const answer of answers) {
        expect(expectProblem(answer, 'precondition-failed').detail).toContain('If-None-Match');
        expect(answer.headers.get('etag')).toBe('"1"');
      }
      expect(await read(seller)).toMatchObject({ version: 1, clients: [client] });
    },
  );

  test('with If-None-Match of other versions a write is done, with one that cannot be read it is refused', async () => {
    const seller = newSeller();
    const send = (tag: string) =>
      source.call('POST', clientsOf(seller), {
        as: seller,
        body: { name: 'A' },
        headers: { 'if-none-match': tag },
      });
    expectProblem(await send('0'), 'invalid-request');
    // Also before the first change: there is a list, and it is empty.
    expectProblem(await send('*'), 'precondition-failed');
    expect((await send('"7", W/"8", "x"')).status).toBe(201);
  });

  test('of two writes that expect the same version one is done', async () => {
    const seller = newSeller();
    const attempt = (name: string) =>
      source.call('POST', clientsOf(seller), { as: seller, body: { name }, headers: { 'if-match': '"0"' } });
    const statuses = (await Promise.all(['A', 'B', 'C', 'D'].map(attempt))).map(({ status }) => status);
    expect(statuses.sort()).toEqual([201, 412, 412, 412]);
  });
});

describe('idempotency keys', () => {
  const withKey = (key: string) => ({ 'idempotency-key': key });

  test('the same request gives the first answer again, whatever happened since', async () => {
    const seller = newSeller();
    const send = (headers = {}) =>
      source.call('POST', clientsOf(seller), {
        as: seller,
        body: { name: 'A' },
        headers: { ...withKey('k'), ...headers },
      });
    const first = await send();
    await add(seller, 'B');
    // Also when the version it expected is long gone.
    const again = await send({ 'if-match': '"0"' });
    expect(again).toMatchObject({ status: 201, text: first.text });
    for (const name of ['etag', 'location']) expect(again.headers.get(name)).toBe(first.headers.get(name));
    expect(first.headers.get('idempotency-replayed')).toBeNull();
    expect(again.headers.get('idempotency-replayed')).toBe('true');
    expect((await read(seller)).version).toBe(2);
  });

  test('every kind of write is replayed', async () => {
    const seller = newSeller();
    const [a, b] = [await add(seller, 'A'), await add(seller, 'B')];
    const writes: Array<[string, string, unknown]> = [
      ['PATCH', `${clientsOf(seller)}/${a!.id}`, { name: 'C' }],
      ['PUT', `${clientsOf(seller)}/order`, { clientIds: [b!.id, a!.id] }],
      ['DELETE', `${clientsOf(seller)}/${a!.id}`, undefined],
    ];
    for (const [method, path, body] of writes) {
      const send = () => source.call(method, path, { as: seller, body, headers: withKey(method) });
      const [first, again] = [await send(), await send()];
      expect(again).toMatchObject({ status: first.status, text: first.text });
      expect(again.headers.get('etag')).toBe(first.headers.get('etag'));
      expect(again.headers.get('idempotency-replayed')).toBe('true');
    }
    expect((await read(seller)).version).toBe(5);
  });

  test('when the list has changed since, a change of it is answered by its version', async () => {
    const seller = newSeller();
    const [a, b] = [await add(seller, 'A'), await add(seller, 'B')];
    const writes: Array<[string, string, unknown]> = [
      ['PUT', `${clientsOf(seller)}/order`, { clientIds: [b.id, a.id] }],
      ['PATCH', `${clientsOf(seller)}/${a.id}`, { name: 'C' }],
    ];
    for (const [method, path, body] of writes) {
      const send = () => source.call(method, path, { as: seller, body, headers: withKey(method) });
      const first = await send();
      await add(seller, `After ${method}`);
      const again = await send();
      expect(again).toMatchObject({ status: 204, text: '' });
      expect(again.headers.get('etag')).toBe(first.headers.get('etag'));
      expect(again.headers.get('idempotency-replayed')).toBe('true');
    }
    expect((await read(seller)).version).toBe(6);
  });

  test('a key keeps what was decided, and nothing of what the list says', async () => {
    const seller = newSeller();
    const ids: string[] = [];
    for (let n = 0; n < 20; n++) {
      ids.push((await add(seller, `Brand ${n}`, { description: 'words '.repeat(80) })).id);
    }
    const order = (clientIds: string[], key: string) =>
      source.call('PUT', `${clientsOf(seller)}/order`, {
        as: seller,
        body: { clientIds },
        headers: withKey(key),
      });
    expect((await order(ids, 'unchanged')).status).toBe(200);
    const wrong = Array.from({ length: 20 }, () => randomUUID());
    const first = expectProblem(await order(wrong, 'refused'), 'order-mismatch');
    expect(first.errors).toHaveLength(40);
    expect((await order(ids.toReversed(), 'changed')).status).toBe(200);
    const headers = withKey('added');
    await source.call('DELETE', `${clientsOf(seller)}/${ids[0]}`, {
      as: seller,
      headers: withKey('removed'),
    });
    await source.call('POST', clientsOf(seller), { as: seller, body: { name: 'Unspeakable' }, headers });
    const kept = await source.query<{ bytes: number; outcome: string }>(
      'select pg_column_size(k.*) as bytes, outcome::text from idempotency_key k where seller_id = $1',
      [seller],
    );
    expect(kept).toHaveLength(5);
    for (const { bytes, outcome } of kept) {
      expect(bytes).toBeLessThan(250);
      expect(outcome).not.toMatch(/Brand|words|Unspeakable/);
    }
    const again = await order(wrong, 'refused');
    expect(expectProblem(again, 'order-mismatch')).toMatchObject({ detail: first.detail });
    expect(again.headers.get('idempotency-replayed')).toBe('true');
  });

  test('keys of before, with whole answers, are replayed, and are gone after an erasure', async () => {
    const seller = newSeller();
    const send = (method: string, path: string, body: unknown, key: string) =>
      source.call(method, `${clientsOf(seller)}${path}`, { as: seller, body, headers: withKey(key) });
    const added = await send('POST', '', { name: 'A', industry: 'Old' }, 'add');
    const [a, b] = [Client.parse(added.body), await add(seller, 'B')];
    const order = await send('PUT', '/order', { clientIds: [b.id, a.id] }, 'order');
    for (const [key, version, answer] of [
      ['add', 1, added.body],
      ['order', 3, order.body],
    ]) {
      await source.query('update idempotency_key set outcome = $3 where seller_id = $1 and key = $2', [
        seller,
        key,
        JSON.stringify({ kind: 'done', version, answer }),
      ]);
    }
    const again = await send('POST', '', { name: 'A', industry: 'Old' }, 'add');
    expect(again).toMatchObject({ status: 201, text: added.text });
    expect((await send('PUT', '/order', { clientIds: [b.id, a.id] }, 'order')).text).toBe(order.text);
    await add(seller, 'C');
    expect((await send('PUT', '/order', { clientIds: [b.id, a.id] }, 'order')).status).toBe(204);
    const token = await bench.issuer.token('operator', { scope: 'top-clients:erase' });
    expect((await source.call('DELETE', `/v1/sellers/${seller}`, { token })).status).toBe(202);
    const kept = await source.query<{ said: string }>(
      'select k::text as said from idempotency_key k where seller_id = $1',
      [seller],
    );
    expect(kept).toHaveLength(2);
    for (const { said } of kept) expect(said).toContain('{""kind"":""erased""}');
  });

  test('a seller has so many keys at most; beyond, a change without one is done, and an erasure with one', async () => {
    const seller = newSeller();
    const send = (headers: Record<string, string>, name = 'A') =>
      source.call('POST', clientsOf(seller), { as: seller, body: { name }, headers });
    const first = await send(withKey('first'));
    const fill = (keys: number) =>
      source.query(
        `insert into idempotency_key (seller_id, key, fingerprint, outcome, created_at)
         select $1, 'filled-' || n, 'x', '{"kind":"done","version":1}', now() from generate_series(1, $2::int) n`,
        [seller, keys],
      );
    await fill(LIMITS.idempotencyKeysPerSeller - 2);
    expect((await send(withKey('last'), 'B')).status).toBe(201);
    const beyond = await send(withKey('beyond'), 'C');
    expect(expectProblem(beyond, 'too-many-requests').detail).toContain('without a key');
    expect(Number(beyond.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await send(withKey('first'))).text).toBe(first.text);
    expect((await send({}, 'C')).status).toBe(201);
    const token = await bench.issuer.token('operator', { scope: 'top-clients:erase' });
    const erased = await source.call('DELETE', `/v1/sellers/${seller}`, { token, headers: withKey('erase') });
    expect(erased.status).toBe(202);
    expectProblem(await send(withKey('filled-7')), 'erased');
    expect((await read(seller)).clients).toEqual([]);
  });

  test('a refusal because of the list is an answer too', async () => {
    const seller = newSeller();
    const client = await add(seller, 'A');
    const send = () =>
      source.call('POST', clientsOf(seller), { as: seller, body: { name: 'a' }, headers: withKey('k') });
    expectProblem(await send(), 'duplicate-client');
    await source.call('DELETE', `${clientsOf(seller)}/${client.id}`, { as: seller });
    const again = await send();
    expectProblem(again, 'duplicate-client');
    expect(again.headers.get('idempotency-replayed')).toBe('true');
  });

  test('a request that was not decided leaves its key unused', async () => {
    const seller = newSeller();
    const send = (body: unknown, headers: object = {}) =>
      source.call('POST', clientsOf(seller), { as: seller, body, headers: { ...withKey('k'), ...headers } });
    expectProblem(await send({ name: '' }), 'invalid-request');
    expectProblem(await send({ name: 'A' }, { 'if-match': '"9"' }), 'precondition-failed');
    expect((await send({ name: 'A' })).status).toBe(201);
  });

  test('for another body, address or method a used key is refused', async () => {
    const seller = newSeller();
    const client = await add(seller, 'A');
    const headers = withKey('k');
    const path = `${clientsOf(seller)}/${client.id}`;
    expect((await source.call('PATCH', path, { as: seller, body: { name: 'B' }, headers })).status).toBe(200);
    const others = [
      await source.call('PATCH', path, { as: seller, body: { name: 'C' }, headers }),
      await source.call('PATCH', `${clientsOf(seller)}/${randomUUID()}`, {
        as: seller,
        body: { name: 'B' },
        headers,
      }),
      await source.call('DELETE', path, { as: seller, headers }),
    ];
    for (const answer of others) expectProblem(answer, 'idempotency-key-reused');
    expect((await read(seller)).version).toBe(2);
  });

  test('the same key of another seller is another key', async () => {
    for (const seller of [newSeller(), newSeller()]) {
      const answer = await source.call('POST', clientsOf(seller), {
        as: seller,
        body: { name: 'A' },
        headers: withKey('shared'),
      });
      expect(answer.status).toBe(201);
      expect(answer.headers.get('idempotency-replayed')).toBeNull();
    }
  });

  test('sent at the same time with one key, a write is done once', async () => {
    const seller = newSeller();
    const answers = await Promise.all(
      Array.from({ length: 20 }, () =>
        source.call('POST', clientsOf(seller), { as: seller, body: { name: 'A' }, headers: withKey('k') }),
      ),
    );
    expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
    expect(answers.filter(({ headers }) => headers.get('idempotency-replayed') === null)).toHaveLength(1);
    expect(await read(seller)).toMatchObject({ version: 1, clients: [{ name: 'A' }] });
  });

  test.each(['', ' ', 'a b', 'é', 'x'.repeat(256)])('the key %j is refused', async (key) => {
    const seller = newSeller();
    const answer = await source.call('POST', clientsOf(seller), {
      as: seller,
      body: { name: 'A' },
      headers: withKey(key),
    });
    expect(expectProblem(answer, 'invalid-request').errors).toMatchObject([{ at: 'header Idempotency-Key' }]);
    expect((await read(seller)).version).toBe(0);
  });

  test('visible characters, 255 of them, are a key', async () => {
    const seller = newSeller();
    const key = `!"'\\~${'x'.repeat(250)}`;
    const answer = await source.call('POST', clientsOf(seller), {
      as: seller,
      body: { name: 'A' },
      headers: withKey(key),
    });
    expect(answer.status).toBe(201);
  });
});

describe('what the list refuses', () => {
  test('the twenty-first client', async () => {
    const seller = newSeller();
    for (let i = 0; i < LIMITS.clientsPerSeller; i++) await add(seller, `Brand ${i}`);
    const answer = await source.call('POST', clientsOf(seller), { as: seller, body: { name: 'One more' } });
    expect(expectProblem(answer, 'too-many-clients').detail).toContain('20');
    expect((await read(seller)).version).toBe(LIMITS.clientsPerSeller);
  });

  test('a name twice', async () => {
    const seller = newSeller();
    const client = await add(seller, 'Spotify');
    const answer = await source.call('POST', clientsOf(seller), { as: seller, body: { name: 'SPOTIFY' } });
    expect(expectProblem(answer, 'duplicate-client').detail).toContain(client.id);
  });

  test('a name that cannot be seen, that turns others around or breaks the line, each with what to change', async () => {
    const seller = newSeller();
    const refused = [
      ['Nike\u200b', 'must not hold U+200B (zero width space) as character 5'],
      ['\u202eACME', 'must not hold U+202E (right-to-left override) as character 1'],
      ['\u200d', 'must not hold U+200D (zero width joiner) as character 1'],
      ['A\nB', 'must not hold U+000A (line feed) as character 2: write it as one line'],
      ['A\u0085B', 'must not hold U+0085 (control character) as character 2'],
    ] as const;
    for (const [name, message] of refused) {
      const answer = await source.call('POST', clientsOf(seller), { as: seller, body: { name } });
      const { errors } = expectProblem(answer, 'invalid-request');
      expect(errors).toEqual([{ at: 'body.name', message: expect.stringContaining(message) }]);
    }
    expect((await read(seller)).version).toBe(0);
    for (const name of ['می‌خواهم', 'പ്രവീണ്‍', '👨‍👩‍👧‍👦', '🏴󠁧󠁢󠁷󠁬󠁳󠁿'])
      expect((await add(seller, name)).name).toBe(name);
  });

  test('a name from before it would have been refused: it is read as it was, changed, and told from no other', async () => {
    const seller = newSeller();
    const client = await add(seller, 'Nike');
    const old = { ...client, name: 'Ni\u200bke\u202e' };
    await source.query('update seller set clients = $2 where seller_id = $1', [
      seller,
      JSON.stringify([old]),
    ]);
    expect((await read(seller)).clients).toEqual([old]);
    const address = `${clientsOf(seller)}/${client.id}`;
    const other = await source.call('POST', clientsOf(seller), { as: seller, body: { name: 'NIKE' } });
    expect(expectProblem(other, 'duplicate-client').detail).toContain(client.id);
    const patch = (body: object) => source.call('PATCH', address, { as: seller, body });
    expect((await patch({ industry: 'Shoes' })).body).toEqual({ ...old, industry: 'Shoes' });
    expectProblem(await patch({ name: old.name }), 'invalid-request');
    expect((await patch({ name: 'Nike' })).body).toMatchObject({ name: 'Nike' });
  });

  test('a period turned round by a patch', async () => {
    const seller = newSeller();
    const client = await add(seller, 'A', { from: '2020-05' });
    const answer = await source.call('PATCH', `${clientsOf(seller)}/${client.id}`, {
      as: seller,
      body: { to: '2020-04' },
    });
    expect(expectProblem(answer, 'period-reversed').errors).toMatchObject([{ at: 'body.to' }]);
  });

  test('changes to a client it does not have', async () => {
    const seller = newSeller();
    const path = `${clientsOf(seller)}/${randomUUID()}`;
    expectProblem(await source.call('PATCH', path, { as: seller, body: { name: 'B' } }), 'not-found');
    expectProblem(await source.call('DELETE', path, { as: seller }), 'not-found');
  });

  test('an order that does not name each client once', async () => {
    const seller = newSeller();
    const [a, b] = [await add(seller, 'A'), await add(seller, 'B')];
    for (const clientIds of [[], [a.id], [a.id, a.id], [a.id, b.id, randomUUID()]]) {
      const answer = await source.call('PUT', `${clientsOf(seller)}/order`, {
        as: seller,
        body: { clientIds },
      });
      expect(expectProblem(answer, 'order-mismatch').errors?.length).toBeGreaterThan(0);
    }
    expect((await read(seller)).version).toBe(2);
  });
});

describe('malformed requests', () => {
  test.each([
    ['no name', {}, 'body.name'],
    ['an empty name', { name: ' ' }, 'body.name'],
    ['a long name', { name: 'x'.repeat(81) }, 'body.name'],
    ['a long description', { name: 'A', description: 'x'.repeat(501) }, 'body.description'],
    ['a NUL', { name: 'a\u0000b' }, 'body.name'],
    ['a lone surrogate', '{"name":"\\ud800"}', 'body.name'],
    ['a number for a name', { name: 1 }, 'body.name'],
    ['an unknown member', { name: 'A', extra: 1 }, 'body'],
    ['an id', { name: 'A', id: randomUUID() }, 'body'],
    ['a prototype', '{"name":"A","__proto__":{"x":1}}', 'body'],
    ['a wrong month', { name: 'A', from: '2020-13' }, 'body.from'],
    ['a period turned round', { name: 'A', from: '2021-01', to: '2020-01' }, 'body.to'],
    ['a logo with a path', { name: 'A', logo: '../x' }, 'body.logo'],
    ['a list', [], 'body'],
    ['null', 'null', 'body'],
    ['no JSON', '{"name":', 'body'],
    ['nothing', '', 'body'],
    ['two values', '{"name":"A"} {}', 'body'],
  ])('%s is refused, naming the member', async (_, body, at) => {
    const seller = newSeller();
    const answer = await source.call('POST', clientsOf(seller), { as: seller, body });
    expect(expectProblem(answer, 'invalid-request').errors).toContainEqual(expect.objectContaining({ at }));
    expect((await read(seller)).version).toBe(0);
  });

  test('bytes that are not UTF-8 are refused', async () => {
    const seller = newSeller();
    const answer = await fetch(`${source.url}${clientsOf(seller)}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        authorization: `Bearer ${await bench.issuer.token(seller)}`,
      },
      body: Buffer.from('7b226e616d65223a22ff227d', 'hex'),
    });
    expect(answer.status).toBe(400);
    expect(((await answer.json()) as Problem).detail).toContain('UTF-8');
  });

  test('a byte order mark before the JSON is passed over; of UTF-16 it is no UTF-8', async () => {
    const seller = newSeller();
    const send = async (method: string, path: string, type: string, body: Buffer) =>
      fetch(`${source.url}${path}`, {
        method,
        headers: { 'content-type': type, authorization: `Bearer ${await bench.issuer.token(seller)}` },
        body,
      });
    const marked = (value: unknown) => Buffer.from(`\ufeff${JSON.stringify(value)}`);
    const added = await send('POST', clientsOf(seller), 'application/json', marked({ name: 'A' }));
    expect(added.status).toBe(201);
    const { id } = Client.parse(await added.json());
    const path = `${clientsOf(seller)}/${id}`;
    expect((await send('PATCH', path, 'application/merge-patch+json', marked({ name: 'B' }))).status).toBe(
      200,
    );
    const batch = { sellerIds: [seller] };
    expect((await send('POST', '/v1/top-clients/batch-get', 'application/json', marked(batch))).status).toBe(
      200,
    );
    expect(await read(seller)).toMatchObject({ version: 2, clients: [{ name: 'B' }] });
    const twice = Buffer.from(`\ufeff\ufeff{"name":"C"}`);
    const wide = Buffer.from('\ufeff{"name":"C"}', 'utf16le');
    for (const [body, why] of [
      [twice, 'not JSON'],
      [wide, 'not UTF-8'],
    ] as const) {
      const answer = await send('POST', clientsOf(seller), 'application/json', body);
      expect(answer.status).toBe(400);
      expect(((await answer.json()) as Problem).detail).toContain(why);
    }
  });

  test.each([
    ['PATCH', 'an empty patch', `/${randomUUID()}`, {}],
    ['PATCH', 'a name set to null', `/${randomUUID()}`, { name: null }],
    ['PUT', 'ids that are no UUIDs', '/order', { clientIds: ['1'] }],
    ['PUT', 'too many ids', '/order', { clientIds: Array.from({ length: 21 }, () => randomUUID()) }],
    ['PUT', 'no ids', '/order', {}],
  ])('%s with %s is refused', async (method, _, path, body) => {
    const seller = newSeller();
    expectProblem(
      await source.call(method, `${clientsOf(seller)}${path}`, { as: seller, body }),
      'invalid-request',
    );
  });

  test.each([
    {},
    { sellerIds: [] },
    { sellerIds: [0] },
    { sellerIds: ['1'] },
    { sellerIds: Array(101).fill(1) },
  ])('a batch of %j is refused', async (body) => {
    expectProblem(await source.call('POST', '/v1/top-clients/batch-get', { body }), 'invalid-request');
  });

  test('a batch that names a seller twice is told which', async () => {
    const body = { sellerIds: [3, 4, 3] };
    const answer = await source.call('POST', '/v1/top-clients/batch-get', { body });
    expect(expectProblem(answer, 'invalid-request').errors).toEqual([
      { at: 'body.sellerIds.2', message: 'names 3 again; name each seller once' },
    ]);
  });

  test.each([
    '0',
    '01',
    '-1',
    '1e3',
    'x',
    '9007199254740992',
    '%20',
    '%00',
    '1%2F2',
    '%ff',
    '%E0%A4%A',
    '%zz',
  ])('the seller %s in an address is refused', async (seller) => {
    expectProblem(await source.call('GET', `/v1/sellers/${seller}/top-clients`), 'invalid-request');
  });

  test('an id in an address that is no UUID is refused', async () => {
    expectProblem(await source.call('GET', '/v1/sellers/1/clients/x'), 'invalid-request');
    expectProblem(await source.call('DELETE', '/v1/sellers/1/clients/x', { as: 1 }), 'invalid-request');
  });

  test.each([
    '/history?after=-1',
    '/history?after=x',
    '/history?limit=0',
    '/history?limit=101',
    '/history?limit=',
    '/history?limit=1&limit=2',
    '/history?afer=1',
    '/clients',
    '/clients?ids=',
    '/clients?ids=x',
    `/clients?ids=${Array.from({ length: 21 }, () => randomUUID()).join(',')}`,
    '/top-clients?verbose=1',
    '/top-clients?__proto__=1',
  ])('the query of %s is refused', async (path) => {
    const problem = expectProblem(await source.call('GET', `/v1/sellers/1${path}`), 'invalid-request');
    expect(problem.detail).toContain('query');
  });

  test('a header that cannot be read is refused', async () => {
    for (const [name, value] of [
      ['if-none-match', 'unquoted'],
      ['if-none-match', '"open'],
    ] as const) {
      expectProblem(await source.call('GET', listOf(1), { headers: { [name]: value } }), 'invalid-request');
    }
    const answer = await source.call('POST', clientsOf(1), {
      as: 1,
      body: { name: 'A' },
      headers: { 'if-match': '5' },
    });
    expectProblem(answer, 'invalid-request');
  });

  test.each([
    '/',
    '/v1',
    '/v1/',
    '/v2/sellers/1/top-clients',
    '/v1/sellers/1/top-clients/',
    '/V1/sellers/1/top-clients',
    '/v1/sellers//top-clients',
  ])('there is nothing at %s', async (path) => {
    expectProblem(await source.call('GET', path), 'not-found');
  });

  test.each([
    ['POST', '/v1/sellers/1/top-clients', 'GET, HEAD, OPTIONS'],
    ['DELETE', '/v1/sellers/1/clients', 'GET, HEAD, POST, OPTIONS'],
    ['GET', '/v1/sellers/1/clients/order', 'PUT, OPTIONS'],
    ['POST', `/v1/sellers/1/clients/${randomUUID()}`, 'GET, HEAD, PATCH, DELETE, OPTIONS'],
    ['GET', '/v1/sellers/1', 'DELETE, OPTIONS'],
    ['GET', '/v1/top-clients/batch-get', 'POST, OPTIONS'],
    ['PROPFIND', '/v1/openapi.json', 'GET, HEAD, OPTIONS'],
  ])('%s is not for %s', async (method, path, allow) => {
    const answer = await source.call(method, path);
    expectProblem(answer, 'method-not-allowed');
    expect(answer.headers.get('allow')).toBe(allow);
    const options = await source.call('OPTIONS', path);
    expect(options.status).toBe(204);
    expect(options.headers.get('allow')).toBe(allow);
  });

  test.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/jsonx',
    'application/json; charset=latin1',
    '',
  ])('a body of type %j is refused', async (type) => {
    const answer = await source.call('POST', clientsOf(1), {
      as: 1,
      body: '{"name":"A"}',
      headers: { 'content-type': type },
    });
    expectProblem(answer, 'unsupported-media-type');
  });

  test('a compressed body is refused', async () => {
    const answer = await source.call('POST', clientsOf(1), {
      as: 1,
      body: '{"name":"A"}',
      headers: { 'content-encoding': 'gzip' },
    });
    expectProblem(answer, 'unsupported-media-type');
  });

  test.each([MOST_BODY_BYTES + 1, 900_000, 20_000_000])('a body of %d bytes is refused', async (bytes) => {
    const body = JSON.stringify({ name: 'x'.repeat(bytes - 11) });
    expectProblem(await source.call('POST', clientsOf(1), { as: 1, body }), 'body-too-large');
    expectProblem(await source.call('POST', '/v1/top-clients/batch-get', { body }), 'body-too-large');
  });

  test('a body of exactly the limit is read', async () => {
    const seller = newSeller();
    const body = '{"name":"A"}'.padEnd(MOST_BODY_BYTES);
    expect((await source.call('POST', clientsOf(seller), { as: seller, body })).status).toBe(201);
  });

  test.each([
    ['no HTTP', 'hello\r\n\r\n'],
    ['a header that is too large', `GET / HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`],
    [
      'two lengths',
      'POST /v1/top-clients/batch-get HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab',
    ],
    [
      'a length and chunks',
      'POST /v1/top-clients/batch-get HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
  ])('%s is refused with a problem document', async (_, bytes) => {
    const answer = await overSocket(bytes);
    expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(answer).toContain(PROBLEM_MEDIA_TYPE);
    Problem.parse(JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)));
  });
});

/** Sends bytes as they are and resolves to all that comes back. */
async function overSocket(bytes: string): Promise<string> {
  const { hostname, port } = new URL(source.url);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  socket.write(bytes);
  let answer = '';
  socket.on('data', (chunk) => {
    answer += chunk.toString();
  });
  await once(socket, 'close');
  return answer;
}

describe('tokens', () => {
  const now = () => Math.floor(Date.now() / 1_000);
  const attempt = (seller: number, token: string) =>
    source.call('POST', clientsOf(seller), { token, body: { name: 'A' } });

  test('without a token nothing can be changed', async () => {
    const writes: Array<[string, string, unknown]> = [
      ['POST', '/v1/sellers/1/clients', { name: 'A' }],
      ['PATCH', `/v1/sellers/1/clients/${randomUUID()}`, { name: 'A' }],
      ['DELETE', `/v1/sellers/1/clients/${randomUUID()}`, undefined],
      ['PUT', '/v1/sellers/1/clients/order', { clientIds: [] }],
      ['DELETE', '/v1/sellers/1', undefined],
    ];
    for (const [method, path, body] of writes) {
      for (const headers of [{}, { authorization: 'Basic eDp5' }, { authorization: 'Bearer' }]) {
        const answer = await source.call(method, path, { body, headers: headers as Record<string, string> });
        expectProblem(answer, 'unauthenticated');
        expect(answer.headers.get('www-authenticate')).toBe('Bearer realm="top-clients"');
      }
    }
  });

  test.each<[string, (seller: number) => Promise<string>]>([
    ['an expired one', (seller) => bench.issuer.token(seller, { exp: now() - 60 })],
    ['one that never expires', (seller) => bench.issuer.token(seller, { exp: undefined })],
    ['one not valid yet', (seller) => bench.issuer.token(seller, { nbf: now() + 60 })],
    ['one of another issuer', (seller) => bench.issuer.token(seller, { iss: 'https://elsewhere' })],
    ['one for another audience', (seller) => bench.issuer.token(seller, { aud: 'elsewhere' })],
    ['one without a subject', (seller) => bench.issuer.token(seller, { sub: undefined })],
    ['one of an unknown key', (seller) => bench.issuer.token(seller, {}, { kid: 'unknown' })],
    [
      'an unsigned one',
      async (seller) => {
        const [, payload] = (await bench.issuer.token(seller)).split('.');
        return `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`;
      },
    ],
    [
      'one signed with a shared secret',
      (seller) =>
        new SignJWT({ iss: bench.issuer.issuer, aud: 'top-clients', sub: String(seller), exp: now() + 600 })
          .setProtectedHeader({ alg: 'HS256', kid: 'key-1' })
          .sign(randomBytes(32)),
    ],
    [
      'one with a changed payload',
      async (seller) => {
        const [header, payload, signature] = (await bench.issuer.token(seller + 1)).split('.');
        const claims = JSON.parse(Buffer.from(payload!, 'base64url').toString());
        const forged = Buffer.from(JSON.stringify({ ...claims, sub: String(seller) })).toString('base64url');
        return `${header}.${forged}.${signature}`;
      },
    ],
    ['rubbish', async () => 'not.a.token'],
    ['more rubbish', async () => `${Buffer.from('{"alg":"ES256","kid":5}').toString('base64url')}.e30.AAAA`],
  ])('%s is refused', async (_, token) => {
    const seller = newSeller();
    const answer = await attempt(seller, await token(seller));
    expectProblem(answer, 'unauthenticated');
    expect(answer.headers.get('www-authenticate')).toMatch(
      /^Bearer realm="top-clients", error="invalid_token"/,
    );
    expect((await read(seller)).version).toBe(0);
  });

  test('the canary is changed by nobody, not even with a token of its own, and may be read', async () => {
    const own = { as: CANARY_SELLER };
    const erasing = { token: await bench.issuer.token('operator', { scope: 'top-clients:erase' }) };
    for (const answer of [
      await source.call('POST', clientsOf(CANARY_SELLER), { ...own, body: { name: 'A' } }),
      await source.call('PUT', `${clientsOf(CANARY_SELLER)}/order`, { ...own, body: { clientIds: [] } }),
      await source.call('DELETE', `/v1/sellers/${CANARY_SELLER}`, erasing),
    ]) {
      expectProblem(answer, 'forbidden');
    }
    expect(await read(CANARY_SELLER)).toMatchObject({ version: 0 });
  });

  test('a token of another seller is refused, also of one that looks the same', async () => {
    const seller = newSeller();
    for (const subject of [seller + 1, `0${seller}`, `${seller}.0`, ` ${seller}`, '']) {
      expectProblem(await attempt(seller, await bench.issuer.token(subject)), 'forbidden');
    }
  });

  test('the clocks of issuer and service may differ by seconds', async () => {
    const seller = newSeller();
    expect((await attempt(seller, await bench.issuer.token(seller, { nbf: now() + 2 }))).status).toBe(201);
  });

  test('while the keys cannot be had, known ones work; without any a write is 503 and a read is served', async () => {
    const seller = newSeller();
    bench.issuer.answer(500);
    try {
      expect((await attempt(seller, await bench.issuer.token(seller))).status).toBe(201);
      const fresh = await bench.startSource(source.databaseUrl);
      try {
        expect((await read(seller, fresh)).version).toBe(1);
        const token = await bench.issuer.token(seller);
        const refused = await fresh.call('POST', clientsOf(seller), { token, body: { name: 'B' } });
        expectProblem(refused, 'unavailable');
        expect(refused.headers.get('retry-after')).toMatch(/^\d+$/);
        bench.issuer.answer(200);
        await eventually(async () => {
          const answer = await fresh.call('POST', clientsOf(seller), { token, body: { name: 'B' } });
          expect(answer.status).toBe(201);
        });
      } finally {
        await fresh.stop();
      }
    } finally {
      bench.issuer.answer(200);
    }
  });

  test('a token of a new key works without a restart, and unknown keys do not flood the issuer', async () => {
    const fresh = await bench.startSource(source.databaseUrl, { TC_JWKS_REFRESH_MS: '1000' });
    try {
      await bench.issuer.rotate();
      const seller = newSeller();
      const token = await bench.issuer.token(seller);
      await eventually(async () => {
        const answer = await fresh.call('POST', clientsOf(seller), { token, body: { name: 'B' } });
        expect(answer.status).toBe(201);
      });
    } finally {
      await fresh.stop();
    }
    // The shared source learns of it by the token itself, once its cooldown is over.
    await eventually(async () => {
      const seller = newSeller();
      expect((await attempt(seller, await bench.issuer.token(seller))).status).toBe(201);
    }, 30_000);
    const before = bench.issuer.asked;
    const unknown = await bench.issuer.token(1, {}, { kid: 'unknown' });
    await Promise.all(Array.from({ length: 50 }, () => attempt(1, unknown)));
    expect(bench.issuer.asked - before).toBeLessThanOrEqual(1);
  });
});

/** Tries until it succeeds; the last failure is thrown when it never does. */
async function eventually(attempt: () => Promise<void>, deadlineMs = 15_000): Promise<void> {
  const deadline = Date.now() + deadlineMs;
  for (;;) {
    try {
      return await attempt();
    } catch (err) {
      if (Date.now() > deadline) throw err;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

describe('an erasure', () => {
  const erase = async (seller: number, subject: string | number = 'operator', headers = {}) =>
    source.call('DELETE', `/v1/sellers/${seller}`, {
      token: await bench.issuer.token(subject, { scope: 'openid top-clients:erase' }),
      headers,
    });

  const receipt = async (answer: CallAnswer) =>
    ErasureReceipt.parse((await source.call('GET', answer.headers.get('location')!)).body);

  test('leaves a version and nothing that was said', async () => {
    const seller = newSeller();
    const secret = 'Secret brand';
    const send = () =>
      source.call('POST', clientsOf(seller), {
        as: seller,
        body: { name: secret },
        headers: { 'idempotency-key': 'k' },
      });
    const client = Client.parse((await send()).body);
    const answer = await erase(seller);
    expect(answer).toMatchObject({ status: 202, body: { sellerId: seller, version: 2 } });
    expect(answer.headers.get('etag')).toBe('"2"');

    expect(await read(seller)).toMatchObject({ version: 2, clients: [] });
    expectProblem(await source.call('GET', `${clientsOf(seller)}/${client.id}`), 'not-found');
    const history = History.parse(
      (await source.call('GET', `/v1/sellers/${seller}/history`, { as: seller })).body,
    );
    expect(history.entries).toMatchObject([
      { version: 1, type: 'client-added', change: null },
      { version: 2, type: 'seller-erased', change: { type: 'seller-erased' } },
    ]);
    await eventually(async () => {
      const { stores } = await receipt(answer);
      expect(stores.find(({ store }) => store === 'log')?.confirmedAt).not.toBeNull();
    });
    const left = await source.query<{ said: string }>(
      `select (select coalesce(string_agg(s::text, ''), '') from seller s where seller_id = $1)
        || (select string_agg(e::text, '') from seller_event e where seller_id = $1)
        || (select coalesce(string_agg(k::text, ''), '') from idempotency_key k where seller_id = $1) as said`,
      [seller],
    );
    expect(left[0]!.said).not.toContain(secret);
    expect(left[0]!.said).not.toContain(client.id);
  });

  test('is not undone by a retry under a key of before, which says so and does nothing', async () => {
    const seller = newSeller();
    const key = 'Secret-brand';
    const send = (name: string, idempotencyKey = key) =>
      source.call('POST', clientsOf(seller), {
        as: seller,
        body: { name },
        headers: { 'idempotency-key': idempotencyKey },
      });
    expect((await send('Secret brand')).status).toBe(201);
    await erase(seller);
    // Whatever it asks for: what the key stood for is not known any more.
    for (const name of ['Secret brand', 'Another brand']) {
      const answer = await send(name);
      expect(expectProblem(answer, 'erased').detail).toMatch(/nothing was done.*send a new key/);
    }
    expect(await read(seller)).toMatchObject({ version: 2, clients: [] });
    // A second erasure leaves it so, and so does what the seller does in between.
    expect((await send('A', 'new')).status).toBe(201);
    await erase(seller);
    expectProblem(await send('Secret brand'), 'erased');
    expectProblem(await send('A', 'new'), 'erased');
    const kept = await source.query<{ said: string }>(
      'select k::text as said from idempotency_key k where seller_id = $1',
      [seller],
    );
    expect(kept).toHaveLength(2);
    // What a caller took for a key is the caller's, a name even.
    for (const { said } of kept) expect(said).not.toMatch(/secret|new/i);
  });

  test('is published as an event and a tombstone of the same version', async () => {
    const seller = newSeller();
    await add(seller, 'A');
    await erase(seller);
    const [, event, tombstone, ...others] = await outbox(seller);
    expect(others).toEqual([]);
    expect(event).toMatchObject({ version: 2, type: 'seller-erased' });
    expect(JSON.parse(event!.value!)).toMatchObject({
      version: 2,
      change: { type: 'seller-erased' },
      clients: [],
    });
    expect(tombstone).toMatchObject({
      version: 2,
      type: 'seller-erased',
      value: null,
      bucket: event!.bucket,
    });
  });

  test('lets the seller begin again, with the versions going on', async () => {
    const seller = newSeller();
    await add(seller, 'A');
    await erase(seller);
    await add(seller, 'A');
    expect(await read(seller)).toMatchObject({ version: 3, clients: [{ name: 'A' }] });
  });

  test('twice, or of a seller without a list, is done once or not at all', async () => {
    const seller = newSeller();
    await add(seller, 'A');
    const first = await erase(seller);
    expect(first.body).toMatchObject({ sellerId: seller, version: 2 });
    expect((await erase(seller)).body).toEqual(first.body);
    const nobody = newSeller();
    expect(await erase(nobody)).toMatchObject({ status: 202, body: { version: 0 } });
    expect(await outbox(nobody)).toEqual([]);
  });

  test('leaves a receipt at an address that names no seller', async () => {
    const seller = newSeller();
    await add(seller, 'Secret brand');
    const answer = await erase(seller);
    const { erasureId } = answer.body as { erasureId: string };
    expect(answer.headers.get('location')).toBe(`/v1/erasures/${erasureId}`);
    const { stores, ...head } = await receipt(answer);
    expect(head).toEqual({
      id: erasureId,
      sellerId: seller,
      version: 2,
      requestedAt: expect.any(String),
      complete: false,
      completedAt: null,
    });
    expect(stores.map(({ store }) => store)).toEqual(['state', 'log', 'idempotency-keys', 'outbox', 'topic']);
    const by = new Map(stores.map((one) => [one.store, one]));
    expect(by.get('state')).toMatchObject({ confirmedAt: head.requestedAt, openBecause: null });
    // Nobody relays here.
    expect(by.get('outbox')).toMatchObject({
      confirmedAt: null,
      openBecause: expect.stringContaining('relay'),
    });
    expect(JSON.stringify(stores)).not.toContain('Secret');
    expect((await source.call('GET', answer.headers.get('location')!)).headers.get('cache-control')).toBe(
      'no-store',
    );
  });

  test('has no other receipt at an address that is like one', async () => {
    expectProblem(await source.call('GET', `/v1/erasures/${randomUUID()}`), 'not-found');
    expectProblem(await source.call('GET', '/v1/erasures/1'), 'invalid-request');
  });

  test('of a seller who never changed anything asks only those who might know better', async () => {
    const { stores } = await receipt(await erase(newSeller()));
    expect(stores.filter(({ confirmedAt }) => confirmedAt === null)).toEqual([]);
  });

  test('that was committed before there were receipts gets one, and its tombstone is sent again', async () => {
    const seller = newSeller();
    await add(seller, 'A');
    await erase(seller);
    await source.query('delete from erasure where seller_id = $1', [seller]);
    await source.query('delete from outbox where seller_id = $1', [seller]);
    const { version } = await receipt(await erase(seller));
    expect(version).toBe(2);
    expect(await outbox(seller)).toMatchObject([{ version: 2, type: 'seller-erased', value: null }]);
  });

  test('keeps its own idempotency key', async () => {
    const seller = newSeller();
    await add(seller, 'A');
    const first = await erase(seller, 'operator', { 'idempotency-key': 'e' });
    await add(seller, 'B');
    const again = await erase(seller, 'operator', { 'idempotency-key': 'e' });
    expect(again).toMatchObject({ status: 202, text: first.text });
    expect((await read(seller)).version).toBe(3);
  });

  test('is told to those who keep copies, with what became of it, page by page', async () => {
    const since = new Date().toISOString();
    const gone = [newSeller(), newSeller(), newSeller()];
    for (const seller of gone) {
      await add(seller, 'A');
      await erase(seller);
      await add(seller, 'back again');
    }
    const page = async (query: string) =>
      Erasures.parse((await source.call('GET', `/v1/erasures?${query}`, { headers: AS_SELF_VIEW })).body);
    const whole = await page(`since=${since}`);
    expect(whole.next).toBeNull();
    expect(whole.erasures).toEqual(
      gone.map((sellerId) => ({ sellerId, version: 2, erasedAt: expect.any(String) })),
    );
    const found: number[] = [];
    for (let next: string | null = since; next !== null; ) {
      const { erasures, next: after }: Erasures = await page(`since=${next}&limit=1`);
      found.push(...erasures.map(({ sellerId }) => sellerId));
      next = after;
    }
    expect(found).toEqual(gone);
    for (const early of ['0000-01-01T00:00:00Z', '1885-03-14T01:20:23-18:46']) {
      const { erasures } = await page(`since=${encodeURIComponent(early)}`);
      expect(erasures).toEqual(expect.arrayContaining(whole.erasures));
    }
    for (const late of ['9999-12-31T23:59:59.999-23:59', '5885-03-14T01:20:23+23:59']) {
      const { erasures } = await page(`since=${encodeURIComponent(late)}`);
      expect(erasures).not.toEqual(expect.arrayContaining(whole.erasures));
    }
    for (const query of ['', 'since=yesterday', `since=${since}&limit=0`, `since=${since}&limit=1001`]) {
      const asked = await source.call('GET', `/v1/erasures?${query}`, { headers: AS_SELF_VIEW });
      expectProblem(asked, 'invalid-request');
    }
  });

  test('is told to pages of ours alone, and confirmed by the self-view alone', async () => {
    const [seller, other] = [newSeller(), newSeller()];
    for (const one of [seller, other]) await add(one, 'A');
    const address = (await erase(seller)).headers.get('location')!;
    await erase(other);
    const confirm = (headers: Record<string, string>, body: unknown) =>
      source.call('POST', '/v1/erasures', { headers, body });
    const erasures = [{ sellerId: seller, version: 2 }];
    const strangers: Record<string, string>[] = [
      {},
      { 'top-clients-caller': `${AS_SELF_VIEW['top-clients-caller']}0` },
    ];
    for (const headers of strangers) {
      const asked = await source.call('GET', '/v1/erasures?since=2026-01-01T00:00:00Z', { headers });
      expectProblem(asked, 'forbidden');
      expectProblem(await confirm(headers, { erasures }), 'forbidden');
    }
    expectProblem(await confirm({ 'top-clients-caller': credential('gig') }, { erasures }), 'forbidden');
    const many = Array.from({ length: 501 }, () => erasures[0]);
    expectProblem(await confirm(AS_SELF_VIEW, { erasures: many }), 'invalid-request');
    expect((await confirm(AS_SELF_VIEW, { erasures })).status).toBe(204);
    const { stores } = ErasureReceipt.parse((await source.call('GET', address)).body);
    expect(stores.find(({ store }) => store === 'changes')).toMatchObject({
      confirmedAt: expect.any(String),
    });
  });

  test('needs the scope; with it the seller may, too', async () => {
    const seller = newSeller();
    await add(seller, 'A');
    for (const scope of [undefined, '', 'erase', 'top-clients:erase-not', 'top-clients']) {
      const token = await bench.issuer.token(seller, { scope });
      const answer = await source.call('DELETE', `/v1/sellers/${seller}`, { token });
      expectProblem(answer, 'forbidden');
      expect(answer.headers.get('www-authenticate')).toContain('insufficient_scope');
    }
    expect((await erase(seller, seller)).status).toBe(202);
  });

  test('does not let its scope change a list', async () => {
    const seller = newSeller();
    const token = await bench.issuer.token('operator', { scope: 'top-clients:erase' });
    expectProblem(await source.call('POST', clientsOf(seller), { token, body: { name: 'A' } }), 'forbidden');
  });
});

describe('at the same time', () => {
  test('fifty writes of one seller give contiguous versions and lose nothing', async () => {
    const seller = newSeller();
    const client = await add(seller, 'Start');
    const token = await bench.issuer.token(seller);
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        i < 15
          ? source.call('POST', clientsOf(seller), { token, body: { name: `Brand ${i}` } })
          : source.call('PATCH', `${clientsOf(seller)}/${client.id}`, {
              token,
              body: { description: `Text ${i}` },
            }),
      ),
    );
    expect(answers.map(({ status }) => status).sort()).toEqual([
      ...Array(35).fill(200),
      ...Array(15).fill(201),
    ]);
    const versions = answers.map(({ headers }) => Number(headers.get('etag')!.slice(1, -1)));
    expect(versions.sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i + 2));

    const list = await read(seller);
    expect(list.version).toBe(51);
    expect(new Set(list.clients.map(({ name }) => name))).toEqual(
      new Set(['Start', ...Array.from({ length: 15 }, (_, i) => `Brand ${i}`)]),
    );
    const rows = await outbox(seller);
    expect(rows.map(({ version }) => version)).toEqual(Array.from({ length: 51 }, (_, i) => i + 1));
    expect(JSON.parse(rows.at(-1)!.value!).clients).toEqual(list.clients);
    const times = rows.map(({ value }) => JSON.parse(value!).committedAt as string);
    expect(times).toEqual([...times].sort());
    // Each event holds the list that its own change led to.
    for (const [i, { value }] of rows.entries()) {
      const { change, clients } = JSON.parse(value!);
      if (change.type === 'client-added') expect(clients.at(-1)).toEqual(change.client);
      else expect(clients).toContainEqual(change.client);
      expect(i === 0 || clients.length >= JSON.parse(rows[i - 1]!.value!).clients.length).toBe(true);
    }
  });

  test('every acknowledged write is in the next read', async () => {
    const seller = newSeller();
    for (let i = 1; i <= 20; i++) {
      const client = await add(seller, `Brand ${i}`);
      const reads = await Promise.all(Array.from({ length: 5 }, () => read(seller)));
      for (const list of reads) expect(list.clients.at(-1)).toEqual(client);
    }
  });
});

describe('limits', () => {
  test('a seller who sends too many changes is told when to come back; others and reads go on', async () => {
    const limited = await bench.startSource(source.databaseUrl, { TC_WRITES_PER_MINUTE: '3' });
    const [seller, other] = [newSeller(), newSeller()];
    const write = async (as: number) =>
      limited.call('POST', clientsOf(as), { as, body: { name: randomUUID() } });
    // A stranger's attempts do not use up the seller's.
    for (let i = 0; i < 5; i++) {
      const answer = await limited.call('POST', clientsOf(seller), { as: other, body: { name: 'A' } });
      expectProblem(answer, 'forbidden');
    }
    for (let i = 0; i < 3; i++) expect((await write(seller)).status).toBe(201);
    const refused = await write(seller);
    expectProblem(refused, 'too-many-requests');
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(60);
    expect((await write(other)).status).toBe(201);
    expect((await read(seller, limited)).version).toBe(3);
    // Who has used up what a seller may send can be forgotten all the same.
    const token = await bench.issuer.token('operator', { scope: 'top-clients:erase' });
    for (const _ of [1, 2]) {
      expect((await limited.call('DELETE', `/v1/sellers/${seller}`, { token })).status).toBe(202);
    }
    expect(await metric(limited, 'topclients_rate_limited_total{limit="seller"}')).toBe(1);
    await limited.stop();
  });

  test('more requests at once than it can serve are refused at once', async () => {
    const small = await bench.startSource(source.databaseUrl, {
      TC_REQUESTS_IN_FLIGHT: '2',
      // Both must still be waiting when the third comes, however slow this machine is.
      TC_STATEMENT_TIMEOUT_MS: '60000',
    });
    const seller = newSeller();
    // By this process, which then has the issuer's keys: both below wait for nothing but the lock.
    const first = await small.call('POST', clientsOf(seller), { as: seller, body: { name: 'A' } });
    expect(first.status).toBe(201);
    const lock = await holdLock(seller);
    const waiting = [1, 2].map((i) =>
      small.call('POST', clientsOf(seller), { as: seller, body: { name: `B${i}` } }),
    );
    // A read in between would take the place of one of them.
    await eventually(async () => expect(await lock.waiting()).toBe(2));
    const refused = await small.call('GET', listOf(seller));
    expectProblem(refused, 'unavailable');
    expect(refused.headers.get('retry-after')).toBe('1');
    await lock.release();
    expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([201, 201]);
    expect((await read(seller, small)).version).toBe(3);
    await small.stop();
  });

  test('a write that waits too long for the database is refused and not done', async () => {
    const hasty = await bench.startSource(source.databaseUrl, { TC_STATEMENT_TIMEOUT_MS: '200' });
    const seller = newSeller();
    await add(seller, 'A');
    const lock = await holdLock(seller);
    const answer = await hasty.call('POST', clientsOf(seller), { as: seller, body: { name: 'B' } });
    expectProblem(answer, 'unavailable');
    // Reads do not wait for the lock.
    expect((await read(seller, hasty)).version).toBe(1);
    await lock.release();
    expect((await read(seller, hasty)).version).toBe(1);
    await hasty.stop();
  });
});

interface HeldLock {
  /** Sessions of this server that wait for a lock. */
  waiting(): Promise<number>;
  release(): Promise<void>;
}

/** Locks a seller's row as a stuck transaction would. */
async function holdLock(seller: number): Promise<HeldLock> {
  const { Client: PgClient } = (await import('pg')).default;
  const client = new PgClient({ connectionString: source.databaseUrl });
  await client.connect();
  await client.query('begin');
  await client.query('select from seller where seller_id = $1 for update', [seller]);
  return {
    waiting: async () => {
      const { rows } = await client.query<{ waiting: number }>(
        'select count(distinct pid)::int as waiting from pg_locks where not granted',
      );
      return rows[0]!.waiting;
    },
    release: async () => {
      await client.query('rollback');
      await client.end();
    },
  };
}

async function metric(of: Source, series: string): Promise<number> {
  const text = await (await fetch(`${of.healthUrl}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${series} `));
  return line === undefined ? Number.NaN : Number(line.slice(series.length + 1));
}

describe('operation', () => {
  test('the canary is changed all the time, by one of two replicas, and counted', async () => {
    const database = await bench.database('canary');
    const settings = { TC_CANARY_INTERVAL_MS: '100' };
    const replicas = [
      await bench.startSource(database, settings),
      await bench.startSource(database, settings),
    ];
    const written = (one: Source) => metric(one, 'topclients_canary_writes_total{result="written"}');
    const all = async () => (await Promise.all(replicas.map(written))).reduce((sum, count) => sum + count, 0);
    while ((await all()) < 10) await new Promise((resolve) => setTimeout(resolve, 50));
    const [before, { version }, after] = [await all(), await read(CANARY_SELLER, replicas[0]), await all()];
    expect(version).toBeGreaterThanOrEqual(before);
    // One may be committed and not counted yet.
    expect(version).toBeLessThanOrEqual(after + 1);
    await replicas[0]!.stop();
    const left = await written(replicas[1]!);
    while ((await written(replicas[1]!)) < left + 5) await new Promise((resolve) => setTimeout(resolve, 50));
    expect(await metric(replicas[1]!, 'topclients_canary_writes_total{result="failed"}')).toBe(0);
  }, 120_000);

  test('requests and commands are counted by route and result, and logged without personal data', async () => {
    const own = await bench.startSource(source.databaseUrl);
    const seller = newSeller();
    const brand = 'Unspeakable Brand';
    const send = (key = 'k') =>
      own.call('POST', clientsOf(seller), {
        as: seller,
        body: { name: brand },
        headers: { 'idempotency-key': key },
      });
    await send();
    await send();
    await send('other');
    await own.call('GET', '/v1/nowhere');
    const posts =
      'topclients_http_requests_total{route="/v1/sellers/{sellerId}/clients",method="POST",status=';
    expect(await metric(own, `${posts}"201"}`)).toBe(2);
    expect(await metric(own, `${posts}"409"}`)).toBe(1);
    expect(await metric(own, 'topclients_http_requests_total{route="none",method="GET",status="404"}')).toBe(
      1,
    );
    for (const result of ['committed', 'replayed', 'duplicate-client']) {
      expect(await metric(own, `topclients_commands_total{command="add-client",result="${result}"}`)).toBe(1);
    }
    expect(
      await metric(
        own,
        'topclients_http_request_duration_seconds_count{route="/v1/sellers/{sellerId}/clients",method="POST"}',
      ),
    ).toBe(3);
    await own.stop();
    const { readFile } = await import('node:fs/promises');
    const log = await readFile(own.process.logFile, 'utf8');
    expect(log).not.toContain(brand);
    expect(log).not.toContain('eyJ');
    const lines = log
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toContainEqual(
      expect.objectContaining({
        level: 'info',
        requestId: expect.any(String),
        method: 'POST',
        route: '/v1/sellers/{sellerId}/clients',
        status: 201,
        ms: expect.any(Number),
      }),
    );
  });

  test('SIGTERM: not ready any more, the request in flight is finished, exit 0', async () => {
    const own = await bench.startSource(source.databaseUrl, { TC_STATEMENT_TIMEOUT_MS: '10000' });
    const seller = newSeller();
    await add(seller, 'A');
    // An idle connection must not hold up the end.
    await own.call('GET', listOf(seller));
    const lock = await holdLock(seller);
    const inFlight = own.call('POST', clientsOf(seller), { as: seller, body: { name: 'B' } });
    await eventually(async () => {
      const [{ waiting }] = (await source.query<{ waiting: number }>(
        "select count(*)::int as waiting from pg_stat_activity where wait_event_type = 'Lock'",
      )) as [{ waiting: number }];
      expect(waiting).toBe(1);
    });
    const exited = own.process.exited;
    own.process.kill('SIGTERM');
    await eventually(async () => {
      const answer = await fetch(`${own.healthUrl}/readyz`);
      expect([answer.status, await answer.text()]).toEqual([503, 'stopping\n']);
    });
    // Readiness tells it first, so that a moment remains in which somebody new is still served.
    await eventually(() => expect(own.call('GET', listOf(seller))).rejects.toThrow());
    await lock.release();
    expect((await inFlight).status).toBe(201);
    expect(await exited).toEqual({ code: 0, signal: null });
    expect((await read(seller)).version).toBe(2);
  });

  test('a database that turned read-only is 503 for writes, and heals', async () => {
    const url = await bench.database('demoted');
    const own = await bench.startSource(url);
    const write = (name: string) => own.call('POST', clientsOf(1), { as: 1, body: { name } });
    expect((await write('A')).status).toBe(201);
    await own.query('alter database demoted set default_transaction_read_only = on');
    await own.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'top-clients' and datname = 'demoted'",
    );
    await eventually(async () => expectProblem(await write('B'), 'unavailable') as never);
    // Not even reads: this node is not the primary, and may be behind it.
    expectProblem(await own.call('GET', listOf(1)), 'unavailable');
    await eventually(async () => expect((await fetch(`${own.healthUrl}/readyz`)).status).toBe(503));
    await source.query('alter database demoted reset default_transaction_read_only');
    await eventually(async () => expect((await write('C')).status).toBe(201));
    await eventually(async () => expect((await fetch(`${own.healthUrl}/readyz`)).status).toBe(200));
    await own.stop();
  });

  test('kill -9 of PostgreSQL during writes loses no acknowledged write, answers 503 meanwhile, and heals', async () => {
    const url = await bench.database('crashing');
    const own = await bench.startSource(url, { TC_POOL_WAIT_MS: '500' });
    const token = new Map<number, string>();
    for (let seller = 1; seller <= 8; seller++) token.set(seller, await bench.issuer.token(seller));
    const acknowledged: Array<[seller: number, version: number, description: string]> = [];
    const refused = new Set<number>();
    let going = true;
    const writer = async (seller: number) => {
      const send = (method: string, path: string, body: unknown) =>
        own.call(method, path, { token: token.get(seller)!, body });
      const { body: client } = await send('POST', clientsOf(seller), { name: 'A' });
      for (let i = 0; going; i++) {
        const description = `Text ${i}`;
        const answer = await send('PATCH', `${clientsOf(seller)}/${client.id}`, { description });
        if (answer.status === 200) {
          acknowledged.push([seller, Number(answer.headers.get('etag')!.slice(1, -1)), description]);
        } else refused.add(answer.status);
      }
    };
    const writers = [...token.keys()].map(writer);
    for (let round = 0; round < 2; round++) {
      const enough = acknowledged.length + 100;
      await eventually(async () => expect(acknowledged.length).toBeGreaterThan(enough));
      const gone = bench.postgres.exited;
      bench.postgres.kill('SIGKILL');
      await gone;
      await eventually(async () => {
        const ready = await fetch(`${own.healthUrl}/readyz`);
        expect(ready.status).toBe(503);
        expectProblem(await own.call('GET', listOf(1)), 'unavailable');
      });
      await bench.postgres.restart();
      await eventually(async () => expect((await fetch(`${own.healthUrl}/readyz`)).status).toBe(200));
    }
    const enough = acknowledged.length + 100;
    await eventually(async () => expect(acknowledged.length).toBeGreaterThan(enough));
    going = false;
    await Promise.all(writers);
    expect([...refused]).toEqual([503]);

    const log = await own.query<{ seller_id: string; version: string; description: string }>(
      `select seller_id, version, change->'client'->>'description' as description from seller_event order by 1, 2`,
    );
    const kept = new Map(log.map((row) => [`${row.seller_id}/${row.version}`, row.description]));
    for (const [seller, version, description] of acknowledged) {
      expect(kept.get(`${seller}/${version}`)).toBe(description);
    }
    // State, log and outbox agree, without gaps.
    for (const seller of token.keys()) {
      const { version, clients } = await read(seller, own);
      expect(log.filter((row) => Number(row.seller_id) === seller)).toHaveLength(version);
      expect(kept.get(`${seller}/${version}`)).toBe(clients[0]!.description);
      const rows = await own.query('select 1 from outbox where seller_id = $1', [seller]);
      expect(rows).toHaveLength(version);
    }
    await own.stop();
  });
});
