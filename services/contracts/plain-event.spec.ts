import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { LIMITS } from './client.ts';
import { SellerEvent } from './events.ts';
import { readPlainSellerEvent, readPlainSellerEventIn } from './plain-event.ts';
import { TextInBytes } from './text-in-bytes.ts';

const readIn = (bytes: Buffer, start = 0, end = bytes.length) =>
  readPlainSellerEventIn(new TextInBytes(bytes, start, end));

/** Whatever takes the short cut, the schema must accept, and leave as it is. */
function holdAgainstSchema(text: string): void {
  const read = readPlainSellerEvent(text);
  const inBytes = readIn(Buffer.from(text));
  // Where the text is no Unicode, its bytes are another text.
  if (text.isWellFormed()) expect(inBytes === null).toBe(read === null);
  if (read === null) return;
  holdAgainstText(inBytes!, text);
  const { sellerId, version, committedAt, change, clients, clientsJson } = read;
  const event = { sellerId, version, committedAt, change, clients };
  expect(SellerEvent.parse(JSON.parse(text))).toEqual(event);
  expect(JSON.stringify(event)).toBe(text);
  expect(clientsJson).toBe(JSON.stringify(clients));
}

/** What is read from the bytes of a message says the same, and keeps the list as it stands in them. */
function holdAgainstText(
  inBytes: NonNullable<ReturnType<typeof readPlainSellerEventIn>>,
  text: string,
): void {
  const { sellerId, version, committedAt, change, clients, clientsJson } = inBytes;
  expect(JSON.stringify({ sellerId, version, committedAt, change, clients })).toBe(text);
  expect(clientsJson).toBe(JSON.stringify(clients));
  const isAscii = Buffer.byteLength(text) === text.length;
  expect('clientsInBytes' in inBytes).toBe(isAscii);
  if ('clientsInBytes' in inBytes) expect(String(inBytes.clientsInBytes)).toBe(clientsJson);
}

const month = fc.constantFrom('2021-03', '1999-12', '2021-13', '1899-01', null, '', 7);
// Edges of every rule, inside and outside.
const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 90 }),
  fc.string({ maxLength: 620 }),
  fc.constantFrom(
    ' a',
    'a ',
    '\u00a0',
    'e\u0301',
    'Nestlé',
    'a\u0000',
    '\ud800',
    '\u007f',
    'a\tb',
    '',
    ' ',
    '–',
    '\u0340',
  ),
  fc.string({ unit: fc.constantFrom('é', 'x', '𝄞'), minLength: 55, maxLength: 85 }),
);
const uuid = fc.oneof(
  { weight: 6, arbitrary: fc.uuid() },
  fc.uuid().map((id) => id.toUpperCase()),
  fc.constantFrom('00000000-0000-0000-0000-000000000000', 'no', 1, null),
);
const client = fc.record(
  {
    id: uuid,
    name: text,
    industry: text,
    description: text,
    logo: fc.constantFrom('spotify', null, 'Über', '', 'a'.repeat(61), 3),
    from: month,
    to: month,
    more: fc.anything(),
  },
  { requiredKeys: ['id', 'name', 'industry', 'description', 'logo', 'from', 'to'] },
);
const number = fc.oneof(fc.nat(), fc.constantFrom(0, 1, -0, -1, 1.5, 2 ** 53, '1', null));
const change = fc.oneof(
  fc.record({ type: fc.constant('client-added'), client, position: number }),
  fc.record({ type: fc.constant('client-updated'), client }),
  fc.record({ type: fc.constant('client-removed'), clientId: uuid }),
  fc.record({ type: fc.constant('clients-reordered'), clientIds: fc.array(uuid, { maxLength: 3 }) }),
  fc.record({ type: fc.constant('seller-erased') }),
  fc.record({ type: fc.constantFrom('client-added', 'toString', '__proto__'), more: fc.anything() }),
  fc.anything(),
);
const instant = fc.oneof(
  fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
  fc.constantFrom(
    '2024-02-29T00:00:00.000Z',
    '2023-02-29T00:00:00.000Z',
    '2023-04-31T00:00:00.000Z',
    'now',
    1,
  ),
  fc.constantFrom('2023-01-01T24:00:00.000Z', '2023-01-01T00:00:00Z', '2023-01-01T00:00:00.000+01:00'),
);
const event = fc.record(
  {
    sellerId: number,
    version: number,
    committedAt: instant,
    change,
    clients: fc.oneof(fc.array(client, { maxLength: 3 }), fc.anything()),
    more: fc.anything(),
  },
  { requiredKeys: ['sellerId', 'version', 'committedAt', 'change', 'clients'] },
);

test('whatever takes the short cut is accepted by the schema, unchanged', () => {
  fc.assert(
    fc.property(event, (value) => holdAgainstSchema(JSON.stringify(value))),
    { numRuns: 2_000 },
  );
});

const good = {
  sellerId: 1,
  version: 1,
  committedAt: '2026-11-23T10:00:00.000Z',
  change: { type: 'seller-erased' },
  clients: [] as unknown[],
};
const goodClient = {
  id: '8c3a6cf1-6e6a-4d3e-9a53-6a9e2c1f0a11',
  name: 'Nestlé',
  industry: '',
  description: 'Launch film – three cut-downs',
  logo: 'spotify',
  from: '2021-03',
  to: null,
};

test('of a message in ASCII the list stays in its bytes, and no other', () => {
  const clients = [{ ...goodClient, name: 'Nestle', description: 'Launch film' }];
  const text = JSON.stringify({ ...good, clients });
  const read = readIn(Buffer.from(`before${text}after`), 6, 6 + text.length);
  expect(read).toMatchObject({ clientsInBytes: { start: 6 + text.indexOf('[') } });
  holdAgainstText(read!, text);
  const other = readIn(Buffer.from(JSON.stringify({ ...good, clients: [goodClient] })));
  expect(other).not.toHaveProperty('clientsInBytes');
});

test('ordinary events take it', () => {
  const id = goodClient.id;
  const changes = [
    { type: 'client-added', client: goodClient, position: 0 },
    { type: 'client-updated', client: goodClient },
    { type: 'client-removed', clientId: id },
    { type: 'clients-reordered', clientIds: [id] },
    { type: 'seller-erased' },
  ];
  for (const one of changes) {
    const text = JSON.stringify({ ...good, change: one, clients: [goodClient, goodClient] });
    expect(readPlainSellerEvent(text)).not.toBeNull();
    holdAgainstSchema(text);
  }
});

test.each([
  ['name', 1, 80],
  ['industry', 0, 60],
  ['description', 0, 500],
])('%s has %i to %i characters', (member, least, most) => {
  for (let length = 0; length <= most + 9; length++) {
    const text = JSON.stringify({ ...good, clients: [{ ...goodClient, [member]: 'x'.repeat(length) }] });
    expect([length, readPlainSellerEvent(text) !== null]).toEqual([
      length,
      length >= least && length <= most,
    ]);
  }
});

test('a fault at the end of the longest list is found at once', () => {
  const client = { ...goodClient, description: 'x'.repeat(LIMITS.descriptionLength - 9) };
  const clients = Array.from({ length: LIMITS.clientsPerSeller }, () => client);
  const text = JSON.stringify({ ...good, clients: [...clients.slice(1), { ...client, to: '2021-13' }] });
  expect(readPlainSellerEvent(text)).toBeNull();
  expect(readPlainSellerEvent(text.replace('2021-13', '2021-12'))).not.toBeNull();
});

// One fault at a time in an event that is good otherwise, so that each single rule has to hold.
test('a value with a single doubtful member is left to the schema, or the schema accepts it unchanged', () => {
  const faults: fc.Arbitrary<unknown> = fc.oneof(
    fc.record({ sellerId: number }).map((fault) => ({ ...good, ...fault })),
    fc.record({ version: number }).map((fault) => ({ ...good, ...fault })),
    fc.record({ committedAt: instant }).map((fault) => ({ ...good, ...fault })),
    fc.record({ change }).map((fault) => ({ ...good, ...fault })),
    fc
      .tuple(fc.constantFrom(...Object.keys(goodClient), 'more'), fc.oneof(text, month, uuid, fc.anything()))
      .map(([name, fault]) => ({ ...good, clients: [{ ...goodClient, [name]: fault }] })),
  );
  fc.assert(
    fc.property(faults, (value) => holdAgainstSchema(JSON.stringify(value))),
    { numRuns: 3_000 },
  );
});

// The short cut judges text, so a text that is nearly right must not slip through either.
test('a good text with a stroke of the pen in it is left to the schema, or means what the schema reads', () => {
  const text = JSON.stringify({
    ...good,
    change: { type: 'client-added', client: goodClient, position: 0 },
    clients: [goodClient, { ...goodClient, logo: null }],
  });
  const stroke = fc.constantFrom(
    '',
    '"',
    '\\',
    ',',
    '{',
    '}',
    '[',
    ']',
    ' ',
    '0',
    '-',
    'a',
    '\\u0020',
    '\n',
    '\u00e9',
  );
  fc.assert(
    fc.property(fc.nat(text.length), fc.nat(3), stroke, (at, removed, inserted) =>
      holdAgainstSchema(text.slice(0, at) + inserted + text.slice(at + removed)),
    ),
    { numRuns: 5_000 },
  );
});
