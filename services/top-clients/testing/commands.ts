import fc from 'fast-check';
import { ClientPatch, NewClient } from '#contracts/client.ts';
import type { Seller, SellerCommand } from '../domain/seller.ts';

/**
 * A command for any list: it names clients by number, and is aimed once the list is known. So random histories reach
 * deep states instead of a row of refusals. About one in ten misses on purpose.
 */
export type Intent = (seller: Seller) => SellerCommand;

// Few and colliding on purpose: the domain must find the same name in another case.
const name = fc.constantFrom(
  ...Array.from({ length: 30 }, (_, i) => `Brand ${i}`),
  'BRAND 1',
  'straße',
  'STRASSE',
);
const month = fc.option(fc.constantFrom('1999-01', '2020-05', '2020-06', '2024-12'));
const logo = fc.option(fc.constantFrom('spotify', 'ferrari'));
const fields = {
  industry: fc.string({ maxLength: 5 }),
  description: fc.string({ maxLength: 9 }),
  logo,
  from: month,
  to: month,
};

const newClient = fc
  .record({ name, ...fields }, { requiredKeys: ['name'] })
  .filter((client) => NewClient.safeParse(client).success)
  .map((client) => NewClient.parse(client));
const patch = fc
  .record({ name, ...fields }, { requiredKeys: [] })
  .filter((change) => ClientPatch.safeParse(change).success)
  .map((change) => ClientPatch.parse(change));

const target = fc.record({
  at: fc.nat(),
  id: fc.uuid({ version: 4 }),
  misses: fc.integer({ min: 0, max: 9 }),
});
const aim = (seller: Seller, { at, id, misses }: { at: number; id: string; misses: number }): string =>
  misses === 0 ? id : (seller.clients[at % Math.max(1, seller.clients.length)]?.id ?? id);

export const intent: fc.Arbitrary<Intent> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.tuple(fc.uuid({ version: 4 }), newClient).map(
      ([clientId, client]): Intent =>
        () => ({ kind: 'add-client', clientId, client }),
    ),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(target, patch).map(
      ([at, change]): Intent =>
        (seller) => ({ kind: 'update-client', clientId: aim(seller, at), patch: change }),
    ),
  },
  {
    weight: 2,
    arbitrary: target.map(
      (at): Intent =>
        (seller) => ({ kind: 'remove-client', clientId: aim(seller, at) }),
    ),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(
        fc.infiniteStream(fc.nat()),
        fc.constantFrom('fits', 'fits', 'fits', 'lacks', 'repeats', 'strange'),
        fc.uuid(),
      )
      .map(
        ([keys, kind, id]): Intent =>
          (seller) => {
            const ids = seller.clients
              .map((client) => ({ id: client.id, key: keys.next().value as number }))
              .sort((one, other) => one.key - other.key)
              .map((one) => one.id);
            if (kind === 'lacks') ids.pop();
            if (kind === 'repeats') ids.push(...ids.slice(0, 1));
            if (kind === 'strange') ids.push(id);
            return { kind: 'reorder-clients', clientIds: ids };
          },
      ),
  },
  { weight: 1, arbitrary: fc.constant<Intent>(() => ({ kind: 'erase-seller' })) },
);
