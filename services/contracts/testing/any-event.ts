import fc from 'fast-check';
import { decodeEvent, encodeEvent, type ReadSellerEvent } from '../event-codec.ts';
import { SellerEvent } from '../events.ts';

export const CLIENT = {
  id: '6f9619ff-8b86-4d01-b42d-00cf4fc964ff',
  name: 'Spotify',
  industry: 'Music',
  description: '',
  logo: 'spotify',
  from: '2021-03',
  to: null,
};

const text = (maxLength: number) =>
  fc
    .oneof(
      fc.string({ maxLength }),
      fc.string({ unit: 'grapheme', maxLength }),
      fc.constantFrom('Nestlé', 'a"b', 'a\\b', '–', 'x'),
    )
    .filter((one) => SellerEvent.shape.clients.safeParse([{ ...CLIENT, description: one }]).success);
const anyClient = fc.record({
  id: fc.uuid(),
  name: text(20).filter((one) => one.trim() !== ''),
  industry: text(20),
  description: text(60),
  logo: fc.constantFrom('spotify', null),
  from: fc.constantFrom('2021-03', null),
  to: fc.constantFrom('2022-05', null),
});
/** Any event of the contract. */
export const anyEvent = fc
  .record({
    sellerId: fc.integer({ min: 1 }),
    version: fc.integer({ min: 1 }),
    committedAt: fc
      .date({ noInvalidDate: true, min: new Date(0), max: new Date('2100-01-01') })
      .map((date) => date.toISOString()),
    change: fc.oneof(
      fc.record({ type: fc.constant('client-added'), client: anyClient, position: fc.nat(20) }),
      fc.record({ type: fc.constant('client-updated'), client: anyClient }),
      fc.record({ type: fc.constant('client-removed'), clientId: fc.uuid() }),
      fc.record({ type: fc.constant('clients-reordered'), clientIds: fc.array(fc.uuid(), { maxLength: 3 }) }),
      fc.record({ type: fc.constant('seller-erased') }),
    ),
    clients: fc.array(anyClient, { maxLength: 3 }),
  })
  .map((one) => SellerEvent.safeParse(one))
  .filter(({ success }) => success)
  .map(({ data }) => data!);

/** How another writer may lay a value out: its members in any order, members nobody knows, blanks, escapes. */
export interface Layout {
  readonly order: readonly number[];
  readonly unknown: boolean;
  readonly indent: number;
  readonly escapes: boolean;
}
export const anyLayout: fc.Arbitrary<Layout> = fc.record({
  order: fc.array(fc.nat(100), { minLength: 8, maxLength: 8 }),
  unknown: fc.boolean(),
  indent: fc.constantFrom(0, 0, 2),
  escapes: fc.boolean(),
});
/** The JSON of a value, laid out so. */
export function laidOut(value: unknown, { order, unknown, indent, escapes }: Layout): string {
  const rearranged = (one: unknown): unknown => {
    if (Array.isArray(one)) return one.map(rearranged);
    if (typeof one !== 'object' || one === null) return one;
    const members = Object.entries(one).map(([name, inner]) => [name, rearranged(inner)] as const);
    if (unknown) members.push(['mood', { version: 99, sellerId: 98, clients: ['sunny'] }]);
    return Object.fromEntries(
      members
        .map((member, i) => ({ member, at: order[i]! }))
        .sort((a, b) => a.at - b.at)
        .map(({ member }) => member),
    );
  };
  const json = JSON.stringify(rearranged(value), null, indent);
  return escapes
    ? json.replaceAll(/[éxs]/g, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}`)
    : json;
}

/** An event as it is read from what we write, and from what another writes. */
export function readBothWays(
  event: SellerEvent,
  layout: Layout,
): readonly [written: ReadSellerEvent, other: ReadSellerEvent] {
  const read = (value: string) => {
    const decoded = decodeEvent({ key: String(event.sellerId), value, type: null });
    if (decoded.kind !== 'event') throw new Error(`it was read as ${JSON.stringify(decoded)}`);
    return decoded.event;
  };
  return [read(encodeEvent(event)), read(laidOut(event, layout))];
}
