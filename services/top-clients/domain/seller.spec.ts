import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Client, isPeriodValid, LIMITS, NewClient } from '../../contracts/client.ts';
import { SellerChange } from '../../contracts/events.ts';
import { intent } from '../testing/commands.ts';
import { decide, evolve, NEW_SELLER, replay, type Seller, type SellerCommand } from './seller.ts';

const uuid = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, '0')}`;
const add = (n: number, client: Partial<Client> & { name: string }): SellerCommand => ({
  kind: 'add-client',
  clientId: uuid(n),
  client: NewClient.parse(client),
});

/** The list after commands that must all be accepted. */
const after = (...commands: SellerCommand[]): Seller =>
  commands.reduce((seller, command) => {
    const decision = decide(seller, command);
    if ('rejection' in decision) throw new Error(JSON.stringify(decision));
    return decision.events.reduce(evolve, seller);
  }, NEW_SELLER);

const two = () =>
  after(add(1, { name: 'Spotify' }), add(2, { name: 'Ferrari', from: '2020-05', to: '2021-01' }));

test('a client is added at the end, and the version counts the change', () => {
  expect(decide(two(), add(3, { name: 'Lego' }))).toEqual({
    events: [
      { type: 'client-added', position: 2, client: expect.objectContaining({ id: uuid(3), name: 'Lego' }) },
    ],
  });
  expect(two().version).toBe(2);
  expect(two().clients.map(({ name }) => name)).toEqual(['Spotify', 'Ferrari']);
});

test('a full list takes no more', () => {
  const full = after(
    ...Array.from({ length: LIMITS.clientsPerSeller }, (_, i) => add(i, { name: `Brand ${i}` })),
  );
  expect(decide(full, add(99, { name: 'One more' }))).toEqual({
    rejection: { reason: 'too-many-clients', limit: LIMITS.clientsPerSeller },
  });
});

test.each([
  ['another case', 'SPOTIFY', 'spotify'],
  ['a compatible form', 'ﬁgma', 'FIGMA'],
  ['a folding that lower case misses', 'Straße', 'STRASSE'],
  ['what cannot be seen, from before it was refused', 'Nike\u200b', 'Nike'],
  ['what turns it around, from before it was refused', '\u202eACME', 'acme'],
  ['another composition', 'Cafe\u0301', 'Café'],
])('a name that differs only by %s is a duplicate', (_, one, other) => {
  const { client: spotify } = add(1, { name: 'Spotify' }) as SellerCommand & { kind: 'add-client' };
  const seller = evolve(NEW_SELLER, {
    type: 'client-added',
    position: 0,
    client: { ...spotify, id: uuid(1), name: one },
  });
  const rejection = { reason: 'duplicate-client', existingId: uuid(1) };
  expect(decide(seller, add(2, { name: other }))).toEqual({ rejection });
  const second = evolve(seller, {
    type: 'client-added',
    position: 1,
    client: { ...seller.clients[0]!, id: uuid(2), name: 'Free' },
  });
  expect(decide(second, { kind: 'update-client', clientId: uuid(2), patch: { name: other } })).toEqual({
    rejection,
  });
});

test('a client may change the case of its own name', () => {
  const decision = decide(two(), { kind: 'update-client', clientId: uuid(1), patch: { name: 'SPOTIFY' } });
  expect(decision).toMatchObject({ events: [{ type: 'client-updated', client: { name: 'SPOTIFY' } }] });
});

test('null in a patch clears a member, and what the patch leaves out stays', () => {
  const seller = after(
    add(1, { name: 'Spotify', industry: 'Music', description: 'Launch', logo: 'spotify' }),
  );
  const patch = { industry: null, logo: null };
  expect(decide(seller, { kind: 'update-client', clientId: uuid(1), patch })).toEqual({
    events: [{ type: 'client-updated', client: { ...seller.clients[0], industry: '', logo: null } }],
  });
});

test('a patch of one end cannot turn the period round', () => {
  const patch = { to: '2020-04' };
  expect(decide(two(), { kind: 'update-client', clientId: uuid(2), patch })).toEqual({
    rejection: { reason: 'period-reversed', from: '2020-05', to: '2020-04' },
  });
});

test.each<SellerCommand>([
  { kind: 'update-client', clientId: uuid(9), patch: { name: 'x' } },
  { kind: 'remove-client', clientId: uuid(9) },
])('$kind of a client that is not there is refused', (command) => {
  expect(decide(two(), command)).toEqual({ rejection: { reason: 'unknown-client', clientId: uuid(9) } });
});

test('an order must name each client once: what is missing, unknown and repeated is told', () => {
  const clientIds = [uuid(2), uuid(9), uuid(2)];
  expect(decide(two(), { kind: 'reorder-clients', clientIds })).toEqual({
    rejection: { reason: 'order-mismatch', missing: [uuid(1)], unknown: [uuid(9)], repeated: [uuid(2)] },
  });
});

test.each<SellerCommand>([
  { kind: 'update-client', clientId: uuid(1), patch: { name: 'Spotify', industry: null } },
  { kind: 'reorder-clients', clientIds: [uuid(1), uuid(2)] },
])('$kind to what the list already is commits nothing', (command) => {
  expect(decide(two(), command)).toEqual({ events: [] });
});

test('an erasure empties the list once, and the versions go on with the next client', () => {
  const erased = after(add(1, { name: 'Spotify' }), { kind: 'erase-seller' });
  expect(erased).toEqual({ version: 2, clients: [], erased: true });
  expect(decide(erased, { kind: 'erase-seller' })).toEqual({ events: [] });
  expect(decide(NEW_SELLER, { kind: 'erase-seller' })).toEqual({ events: [] });
  const again = decide(erased, add(2, { name: 'Spotify' }));
  expect('events' in again && again.events.reduce(evolve, erased)).toMatchObject({
    version: 3,
    erased: false,
  });
});

test('whatever a seller does, the log alone gives the list, and the list keeps its rules', () => {
  fc.assert(
    fc.property(fc.array(intent, { maxLength: 80 }), (intents) => {
      let seller = NEW_SELLER;
      let log: (SellerChange | null)[] = [];
      for (const intended of intents) {
        const decision = decide(seller, intended(seller));
        const events = 'events' in decision ? decision.events : [];
        for (const change of events) {
          if (change.type === 'seller-erased') log = log.map(() => null);
          // As it comes back from a store.
          log.push(SellerChange.parse(JSON.parse(JSON.stringify(change))));
          seller = evolve(seller, change);
        }
      }
      expect(log.reduce(replay, NEW_SELLER)).toEqual(seller);
      expect(seller.version).toBe(log.length);
      expect(seller.clients.length).toBeLessThanOrEqual(LIMITS.clientsPerSeller);
      expect(new Set(seller.clients.map(({ id }) => id)).size).toBe(seller.clients.length);
      expect(new Set(seller.clients.map(({ name }) => name.toUpperCase())).size).toBe(seller.clients.length);
      expect(seller.clients.every(isPeriodValid)).toBe(true);
    }),
    { numRuns: 300 },
  );
});

test('a decision leaves what it was given alone', () => {
  fc.assert(
    fc.property(fc.array(intent, { maxLength: 20 }), (intents) => {
      let seller = NEW_SELLER;
      for (const intended of intents) {
        const frozen = structuredClone(seller);
        const decision = decide(seller, intended(seller));
        const next = 'events' in decision ? decision.events.reduce(evolve, seller) : seller;
        expect(seller).toEqual(frozen);
        seller = next;
      }
    }),
  );
});
