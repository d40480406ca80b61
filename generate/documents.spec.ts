import { readdir, readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { z } from 'zod';
import { SellerChange, type SellerEvent } from '#contracts/events.ts';
import { documents } from './documents.ts';

const folder = new URL('../services/contracts/generated/', import.meta.url);
const json = (name: string) => JSON.parse(documents().get(name)!);

/** Every reference within a document, and what it points at. */
function references(document: object): Array<[reference: string, target: unknown]> {
  const found = new Set<string>();
  JSON.stringify(document, (key, value) => {
    if (key === '$ref') found.add(value);
    return value;
  });
  const at = (reference: string) =>
    reference
      .slice('#/'.length)
      .split('/')
      .reduce<unknown>(
        (node, step) => (node as Record<string, unknown> | undefined)?.[step.replaceAll('~1', '/')],
        document,
      );
  return [...found].map((reference) => [reference, at(reference)]);
}

const event: SellerEvent = {
  sellerId: 1,
  version: 1,
  committedAt: '2026-11-23T14:51:02.088Z',
  change: { type: 'client-removed', clientId: 'd4c7ee9c-1ed8-4792-affc-a8c961cb6d71' },
  clients: [],
};

test('what is checked in is what the schemas give; if not: npm run generate', async () => {
  const present = new Map(
    await Promise.all(
      (await readdir(folder)).map(
        async (name) => [name, await readFile(new URL(name, folder), 'utf8')] as const,
      ),
    ),
  );
  expect(present).toEqual(documents());
});

test('the schema of events takes an event, also one with members of the future, and no broken one', () => {
  const schema = z.fromJSONSchema(json('seller-event.v1.schema.json'));
  expect(schema.safeParse(event).success).toBe(true);
  expect(schema.safeParse({ ...event, future: 1, change: { ...event.change, future: 1 } }).success).toBe(
    true,
  );
  expect(schema.safeParse({ ...event, version: 0 }).success).toBe(false);
  expect(schema.safeParse({ ...event, change: { type: 'client-lost' } }).success).toBe(false);
});

test('the topic has a message for every type of change, the repair, the tombstone and the marker of a move', () => {
  const { channels, components } = json('asyncapi.json');
  const types = SellerChange.options.map((option) => option.shape.type.value);
  expect(Object.keys(channels.sellerEvents.messages)).toEqual([
    ...types,
    'seller-repaired',
    'tombstone',
    'seller-moved',
  ]);
  for (const type of [...types, 'seller-repaired', 'seller-moved']) {
    expect(components.messages[type].headers.properties.ce_type.const).toBe(
      `dev.topclients.seller.${type}.v1`,
    );
  }
});

test.each(['asyncapi.json', 'openapi.json'])('every reference in %s leads somewhere', (name) => {
  const dangling = references(json(name)).filter(([, target]) => target === undefined);
  expect(dangling).toEqual([]);
});

test('every operation tells its refusals, and every write what it takes to be allowed', () => {
  const operations = Object.values<
    Record<string, { operationId: string; tags: string[]; security: object[]; responses: object }>
  >(json('openapi.json').paths).flatMap((path) => Object.values(path));
  expect(new Set(operations.map(({ operationId }) => operationId)).size).toBe(operations.length);
  for (const { tags, security, responses } of operations) {
    expect(Object.keys(responses)).toEqual(expect.arrayContaining(['400', '429', '500', '503']));
    if (!tags.includes('write')) continue;
    expect(Object.keys(responses)).toEqual(expect.arrayContaining(['401', '403', '412', '422']));
    expect(security).toEqual([{ bearer: expect.any(Array) }]);
  }
});
