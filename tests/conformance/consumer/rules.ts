/** What a consumer of the topic must do, each rule with the messages that try it. Pure. docs/consume.md is the contract. */
import type { Client } from '#contracts/client.ts';
import { encodeEvent } from '#contracts/event-codec.ts';
import type { SellerEvent } from '#contracts/events.ts';
import { REPAIR } from '#contracts/repair.ts';
import type { Compression } from '#platform/kafka/compression.ts';
import { toMessage } from '../../../services/outbox-relay/message.ts';

/** One message of the play. */
export interface Sent {
  readonly partition: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly headers: Readonly<Record<string, string>>;
  readonly codec: Compression | 'none';
}

/** What a store shows of a seller. Of a client it need not show more than this. */
export interface SellerState {
  readonly sellerId: number;
  /** Where the store shows it. */
  readonly version?: number | undefined;
  readonly clients: readonly { readonly id: string; readonly name: string }[];
}

/**
 * The acts of the play: what is on the topic when the consumer starts, what comes while it runs, what comes after it was
 * killed and before it starts again.
 */
export const ACTS = 3;
export interface Rule {
  readonly name: string;
  /** What happens where it is broken. */
  readonly otherwise: string;
  readonly acts: readonly (readonly Sent[])[];
  /** At the end of the play. */
  readonly expects: readonly SellerState[];
}

export const PARTITIONS = 3;
const COMMITTED_AT = 1_700_000_000_000;

const clientOf = (sellerId: number, name: string): Client => ({
  id: `00000000-0000-4000-8000-${String(sellerId).padStart(6, '0')}${hexOf(name)}`,
  ...{ name, industry: '', description: '', logo: null, from: null, to: null },
});
/** Six digits that differ for the names of a play. */
const hexOf = (name: string): string =>
  [...name]
    .reduce((sum, one) => (sum * 31 + one.codePointAt(0)!) % 0x100_0000, 7)
    .toString(16)
    .padStart(6, '0');

const stateOf = (sellerId: number, version: number, names: readonly string[]): SellerState => ({
  ...{ sellerId, version },
  clients: names.map((name) => clientOf(sellerId, name)).map(({ id, name }) => ({ id, name })),
});

/** What the relay sends of a row of the outbox. */
function rowOf(sellerId: number, version: number, type: string, value: string | null): Sent {
  const committedAt = COMMITTED_AT + version;
  const { key, headers } = toMessage(
    {
      id: version,
      ...{ sellerId, version, type, value, committedAt },
      traceparent: null,
      replaces: null,
      partition: 0,
    },
    committedAt,
  );
  return {
    partition: sellerId % PARTITIONS,
    ...{ key: String(key), value, headers: headers as Readonly<Record<string, string>>, codec: 'none' },
  };
}

function eventOf(sellerId: number, version: number, names: readonly string[]): SellerEvent {
  const clients = names.map((name) => clientOf(sellerId, name));
  const [client] = clients;
  return {
    ...{ sellerId, version, clients },
    committedAt: new Date(COMMITTED_AT + version).toISOString(),
    change: client ? { type: 'client-updated', client } : { type: 'seller-erased' },
  };
}
const event = (sellerId: number, version: number, ...names: string[]): Sent => {
  const of = eventOf(sellerId, version, names);
  return rowOf(sellerId, version, of.change.type, encodeEvent(of));
};
const erased = (sellerId: number, version: number): Sent => event(sellerId, version);
const tombstone = (sellerId: number, version: number): Sent =>
  rowOf(sellerId, version, 'seller-erased', null);
const repair = (sellerId: number, version: number, ...names: string[]): Sent => ({
  ...event(sellerId, version, ...names),
  headers: rowOf(sellerId, version, REPAIR, null).headers,
});
const moved = (sellerId: number, version: number): Sent => rowOf(sellerId, version, 'seller-moved', null);
const at = (partition: number, sent: Sent): Sent => ({ ...sent, partition });
const saying = (sent: Sent, value: string): Sent => ({ ...sent, value });
const typed = (sent: Sent, type: string): Sent => ({ ...sent, headers: { ...sent.headers, ce_type: type } });

/** Text that SQL, JSON, HTML, shells and terminals each find special, and what UTF-16 and UTF-8 count differently. */
const TEXTS = [
  '"Ben" & \'Jerry\'',
  '<script>alert(1)</script>',
  '\\n{a,b}\\',
  '🦊 Füchse',
  'שלום',
  '$HOME; drop table x --',
];

const CODECS = ['gzip', 'snappy', 'lz4', 'zstd'] as const satisfies readonly Compression[];

export const RULES: readonly Rule[] = [
  {
    name: 'the newest list of a seller is shown',
    otherwise: 'a change does not reach the store',
    acts: [
      [event(10, 1, 'A'), event(10, 2, 'A', 'B')],
      [event(10, 3, 'B'), event(11, 1, 'C')],
    ],
    expects: [stateOf(10, 3, ['B']), stateOf(11, 1, ['C'])],
  },
  {
    name: 'a list is whole: what it does not name is gone',
    otherwise: 'clients that a seller removed stay',
    acts: [[event(20, 1, 'A', 'B', 'C')], [event(20, 2, 'C', 'A')]],
    expects: [stateOf(20, 2, ['C', 'A'])],
  },
  {
    name: 'versions with gaps are taken: compaction leaves them',
    otherwise: 'the store waits for versions that never come',
    acts: [[event(30, 7, 'A')], [event(30, 12, 'B')]],
    expects: [stateOf(30, 12, ['B'])],
  },
  {
    name: 'a history that comes again changes nothing',
    otherwise: 'the store goes back for as long as the replay lasts, or counts twice',
    acts: [
      [event(40, 1, 'A'), event(40, 2, 'B'), event(40, 3, 'C')],
      [event(40, 1, 'A'), event(40, 2, 'B')],
    ],
    expects: [stateOf(40, 3, ['C'])],
  },
  {
    name: 'an older version behind a newer one is left out, also within one batch',
    otherwise: 'an old list replaces a newer one',
    acts: [[event(50, 3, 'New'), event(50, 2, 'Old')], [], [event(50, 1, 'Oldest')]],
    expects: [stateOf(50, 3, ['New'])],
  },
  {
    name: 'the order between partitions does not matter: a seller may move',
    otherwise: 'while the topic grows, lists go back to older ones',
    acts: [
      [at(0, event(60, 1, 'A')), at(0, event(60, 2, 'B'))],
      [at(1, event(60, 3, 'C')), at(0, moved(60, 2)), at(0, event(60, 2, 'B'))],
    ],
    expects: [stateOf(60, 3, ['C'])],
  },
  {
    name: 'an erasure empties the list',
    otherwise: 'what was erased is shown',
    acts: [[event(70, 1, 'Erased')], [erased(70, 2), tombstone(70, 2)]],
    expects: [stateOf(70, 2, [])],
  },
  {
    name: 'the tombstone alone is an erasure: compaction may leave nothing else',
    otherwise: 'a store that was away shows what was erased',
    acts: [[event(80, 1, 'Erased')], [], [tombstone(80, 2)]],
    expects: [stateOf(80, 2, [])],
  },
  {
    name: 'a late copy of an erased list stays out',
    otherwise: 'an erased name comes back',
    acts: [
      [event(90, 1, 'Erased'), erased(90, 2), tombstone(90, 2)],
      [event(90, 1, 'Erased')],
      [event(90, 1, 'Erased')],
    ],
    expects: [stateOf(90, 2, [])],
  },
  {
    name: 'an erased seller who comes back is shown again',
    otherwise: 'a seller is hidden for good',
    acts: [[event(100, 1, 'Before'), erased(100, 2), tombstone(100, 2)], [event(100, 3, 'After')]],
    expects: [stateOf(100, 3, ['After'])],
  },
  {
    name: 'a repair is taken as the event that it repeats',
    otherwise: 'a row that was lost stays lost',
    acts: [[event(110, 1, 'A')], [repair(110, 4, 'D'), repair(111, 2, 'E')]],
    expects: [stateOf(110, 4, ['D']), stateOf(111, 2, ['E'])],
  },
  {
    name: 'null values that are no erasure say nothing',
    otherwise: 'a list vanishes although nobody erased it',
    acts: [
      [event(120, 1, 'A'), event(121, 1, 'B')],
      [
        rowOf(120, 2, REPAIR, null),
        // Its partition of before hears of a move first: whoever empties the list there leaves out the same version here.
        moved(121, 2),
        at(2, event(121, 2, 'C')),
        ...[0, 1, 2].map((partition) => at(partition, rowOf(0, 0, 'seller-moved', null))),
      ],
    ],
    expects: [stateOf(120, 1, ['A']), stateOf(121, 2, ['C'])],
  },
  {
    name: 'members and headers that it does not know are ignored',
    otherwise: 'an addition to the format stops the store',
    acts: [
      [
        {
          ...saying(
            event(130, 1, 'A'),
            JSON.stringify({ region: { new: true }, ...eventOf(130, 1, ['A']), tags: ['x'] }),
          ),
          headers: { ...event(130, 1, 'A').headers, ce_region: 'eu', tracestate: 'x=1' },
        },
      ],
    ],
    expects: [stateOf(130, 1, ['A'])],
  },
  {
    name: 'members may come in another order, with blanks between them',
    otherwise: 'another serializer stops the store',
    acts: [
      [
        saying(
          event(140, 1, 'A'),
          JSON.stringify(Object.fromEntries(Object.entries(eventOf(140, 1, ['A'])).toReversed()), null, 2),
        ),
      ],
    ],
    expects: [stateOf(140, 1, ['A'])],
  },
  {
    name: 'a message for a newer reader leaves its seller as it was, and stops nobody behind it',
    otherwise: 'one message stops a partition, or an unknown format is shown',
    acts: [
      [event(150, 1, 'A')],
      [
        typed(saying(event(150, 2, 'B'), '{"lists":[]}'), 'dev.topclients.seller.client-updated.v2'),
        event(153, 1, 'Behind'),
      ],
    ],
    expects: [stateOf(150, 1, ['A']), stateOf(153, 1, ['Behind'])],
  },
  {
    name: 'what is no event at all is put aside, and stops nobody behind it',
    otherwise: 'one message stops a partition',
    acts: [
      [event(160, 1, 'A')],
      [
        saying(event(160, 2, 'B'), 'not JSON'),
        saying(event(160, 3, 'B'), '{}'),
        saying(event(160, 4, 'B'), encodeEvent(eventOf(999, 4, ['Not of this seller']))),
        { ...event(160, 5, 'B'), key: 'no seller' },
        typed(event(160, 7, 'B'), 'com.example.something-else'),
        event(163, 1, 'Behind'),
      ],
    ],
    expects: [stateOf(160, 1, ['A']), stateOf(163, 1, ['Behind'])],
  },
  {
    name: 'a good message of the seller takes the place of one that was put aside',
    otherwise: 'a seller whose message was bad once is never shown again',
    acts: [[saying(event(170, 2, 'B'), '{"half":')], [event(170, 3, 'C')]],
    expects: [stateOf(170, 3, ['C'])],
  },
  {
    name: 'names come through as they are',
    otherwise: 'a name is cut, escaped twice, or run',
    acts: [[event(180, 1, ...TEXTS)]],
    expects: [stateOf(180, 1, TEXTS)],
  },
  {
    name: 'batches are read in every compression of Kafka',
    otherwise: 'a partition stops when an administrator sets another compression.type',
    acts: [[], CODECS.map((codec, i) => ({ ...event(190 + i, 1, codec), codec }))],
    expects: CODECS.map((codec, i) => stateOf(190 + i, 1, [codec])),
  },
  {
    name: 'many versions of one seller in one batch end at the newest',
    otherwise: 'one statement touches a row twice, or the last one wins by chance',
    acts: [[], Array.from({ length: 200 }, (_, i) => event(200, i + 1, `Version ${i + 1}`))],
    expects: [stateOf(200, 200, ['Version 200'])],
  },
  {
    name: 'after kill -9 it goes on without a loss',
    otherwise: 'what came while it was away is missing',
    acts: [[event(210, 1, 'A')], [event(210, 2, 'B')], [event(210, 3, 'C'), event(211, 1, 'While away')]],
    expects: [stateOf(210, 3, ['C']), stateOf(211, 1, ['While away'])],
  },
];

/** Ends an act: the last message of each partition. A consumer that shows them has read what is before them. */
export const sentinels = (act: number): readonly Sent[] =>
  Array.from({ length: PARTITIONS }, (_, partition) =>
    at(partition, event(9_000 + act * 10 + partition, 1, `End of act ${act + 1}`)),
  );

/** All messages of an act in the order of the play: the rules take turns, and each keeps its own order. */
export function messagesOf(act: number, rules: readonly Rule[] = RULES): Sent[] {
  const left = rules.map((rule) => [...(rule.acts[act] ?? [])]);
  const messages: Sent[] = [];
  while (left.some((of) => of.length > 0)) {
    for (const of of left) {
      const next = of.shift();
      if (next) messages.push(next);
    }
  }
  return messages;
}

/** How a state that is shown breaks a rule, in words; null where it keeps it. */
export function breachOf(rule: Rule, shown: ReadonlyMap<number, SellerState>): string | null {
  for (const expected of rule.expects) {
    const { sellerId } = expected;
    const found = shown.get(sellerId);
    const names = ({ clients }: SellerState) => clients.map(({ name }) => name).join(', ') || 'no clients';
    if (found === undefined) return `seller ${sellerId} is not shown; it has ${names(expected)}`;
    if (JSON.stringify(found.clients.map(idAndName)) !== JSON.stringify(expected.clients.map(idAndName))) {
      return `seller ${sellerId} is shown with ${names(found)}; it has ${names(expected)}`;
    }
    if (found.version !== undefined && found.version !== expected.version) {
      return `seller ${sellerId} is shown at version ${found.version}; it is at ${expected.version}`;
    }
  }
  return null;
}
const idAndName = ({ id, name }: { readonly id: string; readonly name: string }) => [id, name];
