import { expect, test } from '@jest/globals';
import type { Client, NewClient } from '#contracts/client.ts';
import { problem } from '#contracts/problems.ts';
import { silentLog } from '#platform/log.ts';
import { openMetrics } from '#role/metrics.ts';
import type { SourceAnswer } from '../source-client/answer.ts';
import type { SourceApi, WriteTerms, Written } from '../source-client/source-api.ts';
import type { ChangeLog, LoggedChange } from './change-log.ts';
import type { PortalCommand } from './command.ts';
import { makeChange } from './make-change.ts';
import { openReadYourWrites } from './read-your-writes.ts';

const SELLER = 7;
const spotify: NewClient = {
  name: 'Spotify',
  industry: '',
  description: '',
  logo: null,
  from: null,
  to: null,
};
const call = () => ({ deadlineMs: 5_000 });
const named = (name: string): NewClient => ({ ...spotify, name });

/** A source of one seller, as the contract describes it; `next` says what happens to the answers of coming writes. */
function sourceInMemory() {
  let clients: Client[] = [];
  let version = 0;
  const first = new Map<string, Written>();
  const next: ('lose the answer' | 'refuse' | 'answer an old list')[] = [];
  const versionsRead: number[] = [];
  const write = async (
    { ifMatch, idempotencyKey }: WriteTerms,
    change: () => { clients: Client[]; id?: string },
  ): Promise<SourceAnswer<Written>> => {
    const fate = next.shift();
    const known = first.get(idempotencyKey!);
    if (known) return { outcome: 'ok', value: known };
    if (fate === 'refuse' || ifMatch !== version) {
      return {
        outcome: 'refused',
        problem: problem('precondition-failed', 'read again'),
        retryAfterSeconds: null,
      };
    }
    const after = change();
    clients = after.clients;
    version += 1;
    const written = { version, id: after.id ?? null };
    first.set(idempotencyKey!, written);
    return fate
      ? { outcome: 'unknown', mayHaveArrived: true, cause: new Error(fate) }
      : { outcome: 'ok', value: written };
  };
  const source: SourceApi = {
    async list(sellerId) {
      versionsRead.push(version);
      const isOld = next[0] === 'answer an old list';
      if (isOld) next.shift();
      const shown = isOld ? version - 1 : version;
      return { outcome: 'ok', value: { sellerId, version: shown, clients, updatedAt: null } };
    },
    add: (_seller, client, terms) =>
      write(terms, () => {
        const id = `id-${version + 1}`;
        return { clients: [...clients, { ...spotify, ...client, id }], id };
      }),
    update: (_seller, clientId, client, terms) =>
      write(terms, () => ({
        clients: clients.map((one) => (one.id === clientId ? { ...one, ...(client as NewClient) } : one)),
        id: clientId,
      })),
    remove: (_seller, clientId, terms) =>
      write(terms, () => ({ clients: clients.filter(({ id }) => id !== clientId) })),
    reorder: (_seller, clientIds, terms) =>
      write(terms, () => ({ clients: clientIds.map((id) => clients.find((one) => one.id === id)!) })),
    confirmErasures: async () => ({ outcome: 'ok', value: undefined }),
    erasures: async () => ({ outcome: 'ok', value: { erasures: [], next: null } }),
  };
  return { source, next, versionsRead, names: () => clients.map(({ name }) => name), version: () => version };
}

function changesInMemory(): ChangeLog {
  const entries = new Map<string, { title: string; inverse: PortalCommand | null; version: number | null }>();
  let acknowledged = 0;
  return {
    async begin(_seller, key, change) {
      if (!entries.has(key)) entries.set(key, { ...change, version: null });
    },
    async acknowledge(_seller, key, version, inverse) {
      const entry = entries.get(key);
      if (entry) entries.set(key, { ...entry, version, inverse: inverse ?? entry.inverse });
      acknowledged = Math.max(acknowledged, version);
    },
    async find(_seller, version) {
      return [...entries.values()].find((entry) => entry.version === version) as LoggedChange | undefined;
    },
    acknowledgedVersion: async () => acknowledged,
  };
}

function bench() {
  const memory = sourceInMemory();
  const changes = changesInMemory();
  const metrics = openMetrics({ processMetrics: false });
  const violations = metrics.counter('topclients_self_view_violations_total');
  const reads = openReadYourWrites(memory.source, changes, violations, silentLog);
  const by = { token: 'token', call };
  const make = (command: PortalCommand, key: string, version = memory.version()) =>
    makeChange(
      { source: memory.source, reads, changes, log: silentLog },
      SELLER,
      command,
      { version, key },
      by,
    );
  const undo = async (key: string) => make((await changes.find(SELLER, memory.version()))!.inverse!, key);
  const counted = async () => (await violations.get()).values[0]?.value ?? 0;
  return { ...memory, changes, reads, make, undo, counted };
}

const add = (name: string): PortalCommand => ({ kind: 'add', client: named(name) });

test('each change can be undone, and a removal returns to its place', async () => {
  const { make, undo, names } = bench();
  for (const name of ['A', 'B', 'C']) await make(add(name), name);
  await make({ kind: 'remove', clientId: 'id-1' }, 'remove');
  expect(names()).toEqual(['B', 'C']);
  expect((await undo('undo-1')).outcome).toBe('changed');
  expect(names()).toEqual(['A', 'B', 'C']);
  await undo('undo-2');
  expect(names()).toEqual(['B', 'C']);
});

test('a repetition after a lost answer is done once, and can still be undone', async () => {
  const { make, undo, names, next } = bench();
  await make(add('A'), 'a');
  next.push('lose the answer');
  expect((await make({ kind: 'remove', clientId: 'id-1' }, 'k', 1)).outcome).toBe('unknown');
  expect(names()).toEqual([]);
  expect(await make({ kind: 'remove', clientId: 'id-1' }, 'k', 1)).toEqual({
    outcome: 'changed',
    version: 2,
  });
  await undo('u');
  expect(names()).toEqual(['A']);
});

test('an edit whose answer was lost is undone to what stood there before it', async () => {
  const { make, undo, names, next } = bench();
  await make(add('A'), 'a');
  const edit: PortalCommand = { kind: 'update', clientId: 'id-1', client: named('B') };
  next.push('lose the answer');
  await make(edit, 'k', 1);
  expect((await make(edit, 'k', 1)).outcome).toBe('changed');
  expect(names()).toEqual(['B']);
  await undo('u');
  expect(names()).toEqual(['A']);
});

test('a removal whose place was not accepted comes back at the end, and says so', async () => {
  const { make, changes, names, next, version } = bench();
  for (const name of ['A', 'B']) await make(add(name), name);
  await make({ kind: 'remove', clientId: 'id-1' }, 'remove');
  const { inverse } = (await changes.find(SELLER, version()))!;
  next.push('lose the answer');
  // The first half is lost; the repetition finds it done, and its second half is refused.
  expect((await make(inverse!, 'u', 3)).outcome).toBe('unknown');
  next.length = 0;
  const sourceRefuses = make(inverse!, 'u', 3);
  next.push('refuse', 'refuse');
  expect((await sourceRefuses).outcome).toBe('misplaced');
  expect(names()).toEqual(['B', 'A']);
});

test('a change made for an older list is refused, and leaves no undo', async () => {
  const { make, changes, version, names } = bench();
  await make(add('A'), 'a');
  expect((await make(add('B'), 'b', 0)).outcome).toBe('refused');
  expect(names()).toEqual(['A']);
  expect((await changes.find(SELLER, version()))?.title).toBe('A was added');
});

test('an old list is counted and asked for again, and never handed out', async () => {
  const { make, reads, next, counted, versionsRead } = bench();
  await make(add('A'), 'a');
  expect(await counted()).toBe(0);
  const before = versionsRead.length;
  next.push('answer an old list');
  const read = await reads.list(SELLER, call);
  expect(read.outcome === 'ok' && read.value.version).toBe(1);
  expect([await counted(), versionsRead.length - before]).toEqual([1, 2]);
  next.push('answer an old list', 'answer an old list');
  expect((await reads.list(SELLER, call)).outcome).toBe('unknown');
  expect(await counted()).toBe(3);
});

test('a database that is out of reach costs the undo and not the change', async () => {
  const { source, names } = sourceInMemory();
  const fail = () => Promise.reject(new Error('no database'));
  const changes: ChangeLog = { begin: fail, acknowledge: fail, find: fail, acknowledgedVersion: fail };
  const metrics = openMetrics({ processMetrics: false });
  const violations = metrics.counter('topclients_self_view_violations_total');
  const reads = openReadYourWrites(source, changes, violations, silentLog);
  const by = { token: 'token', call };
  const result = await makeChange(
    { source, reads, changes, log: silentLog },
    SELLER,
    add('A'),
    { version: 0, key: 'k' },
    by,
  );
  expect(result).toEqual({ outcome: 'changed', version: 1 });
  expect(names()).toEqual(['A']);
});
