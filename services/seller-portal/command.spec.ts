import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Client, NewClient } from '#contracts/client.ts';
import { inverseOf, MOVES, moved, type PortalCommand, titleOf } from './command.ts';

const clientOf = (id: string, name = id): Client => ({
  id,
  name,
  industry: '',
  description: '',
  logo: null,
  from: null,
  to: null,
});
const { id: _, ...added } = clientOf('', 'Added');

/** What the source of truth does with a command; `restore` puts the client where it was. */
function after(list: readonly Client[], command: PortalCommand, newId: string): Client[] {
  switch (command.kind) {
    case 'add':
      return [...list, { id: newId, ...command.client }];
    case 'update':
      return list.map((one) => (one.id === command.clientId ? { id: one.id, ...command.client } : one));
    case 'remove':
      return list.filter(({ id }) => id !== command.clientId);
    case 'reorder':
      return command.clientIds.map((id) => list.find((one) => one.id === id)!);
    case 'restore':
      return list.toSpliced(command.position, 0, { id: newId, ...command.client });
  }
}
const withoutIds = (list: readonly Client[]): NewClient[] => list.map(({ id: _, ...client }) => client);

const anyList = fc
  .uniqueArray(fc.stringMatching(/^[a-z]{1,3}$/), { minLength: 1, maxLength: 8 })
  .map((ids) => ids.map((id) => clientOf(id)));
const anyCommandOn = (list: readonly Client[]): fc.Arbitrary<PortalCommand> => {
  const id = fc.constantFrom(...list.map((one) => one.id));
  return fc.oneof(
    fc.constant<PortalCommand>({ kind: 'add', client: added }),
    id.map<PortalCommand>((clientId) => ({ kind: 'update', clientId, client: added })),
    id.map<PortalCommand>((clientId) => ({ kind: 'remove', clientId })),
    fc
      .shuffledSubarray([...list], { minLength: list.length })
      .map<PortalCommand>((order) => ({ kind: 'reorder', clientIds: order.map((one) => one.id) })),
    fc.nat(list.length).map<PortalCommand>((position) => ({ kind: 'restore', client: added, position })),
  );
};

test('a command and its inverse leave the list as it was, and the inverse can be taken back as well', () => {
  fc.assert(
    fc.property(
      anyList.chain((list) => fc.tuple(fc.constant(list), anyCommandOn(list))),
      ([list, command]) => {
        const changed = after(list, command, 'new-1');
        const inverse = inverseOf(command, list, 'new-1')!;
        const undone = after(changed, inverse, 'new-2');
        expect(withoutIds(undone)).toEqual(withoutIds(list));
        const redone = after(undone, inverseOf(inverse, changed, 'new-2')!, 'new-3');
        expect(withoutIds(redone)).toEqual(withoutIds(changed));
      },
    ),
  );
});

test('there is no inverse while the id of an added client is unknown, or for a client that is not there', () => {
  expect(inverseOf({ kind: 'add', client: added }, [], null)).toBeNull();
  expect(inverseOf({ kind: 'remove', clientId: 'gone' }, [clientOf('a')], null)).toBeNull();
  expect(inverseOf({ kind: 'update', clientId: 'gone', client: added }, [], null)).toBeNull();
});

test('a move changes the place of one client and nothing else, and stops at the ends', () => {
  const order = ['a', 'b', 'c'];
  const results = MOVES.map((move) => order.map((id) => moved(order, id, move).join('')));
  expect(Object.fromEntries(MOVES.map((move, i) => [move, results[i]]))).toEqual({
    first: ['abc', 'bac', 'cab'],
    up: ['abc', 'bac', 'acb'],
    down: ['bac', 'acb', 'abc'],
    last: ['bca', 'acb', 'abc'],
  });
  expect(moved(order, 'unknown', 'up')).toEqual(order);
});

test('a title names the client as the seller knew it', () => {
  expect(titleOf({ kind: 'remove', clientId: 'x' }, [clientOf('x', 'Spotify')])).toBe('Spotify was removed');
  expect(titleOf({ kind: 'add', client: added }, [])).toBe('Added was added');
});

test('a client of before is put back as the source takes it today, or not at all', () => {
  const old = { ...clientOf('a', 'Nike\u200b'), industry: 'Shoes\nand more', description: '\u202eone\ntwo' };
  const again = {
    name: 'Nike',
    industry: 'Shoes and more',
    description: 'one\ntwo',
    logo: null,
    from: null,
    to: null,
  };
  expect(inverseOf({ kind: 'remove', clientId: 'a' }, [old], null)).toEqual({
    kind: 'restore',
    client: again,
    position: 0,
  });
  const update: PortalCommand = { kind: 'update', clientId: 'a', client: added };
  expect(inverseOf(update, [old], null)).toEqual({ kind: 'update', clientId: 'a', client: again });
  for (const command of [update, { kind: 'remove', clientId: 'a' } as const]) {
    expect(inverseOf(command, [clientOf('a', '\u200d')], null)).toBeNull();
  }
});
