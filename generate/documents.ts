import { z } from 'zod';
import { TopClientsView } from '#contracts/delivery.ts';
import {
  CLOUD_EVENTS,
  cloudEventType,
  MOVED_TYPE,
  SELLER_MOVED,
  SellerChange,
  SellerEvent,
} from '#contracts/events.ts';
import { openApiDocument } from '#contracts/openapi.ts';
import { Problem } from '#contracts/problems.ts';
import { REPAIR, REPAIR_TYPE, REPLACES_HEADER } from '#contracts/repair.ts';
import { SELLER_EVENTS } from '#contracts/topics.ts';

/** The documents generated from schemas: file name → text. The same on every machine. */
export function documents(): ReadonlyMap<string, string> {
  const contents: Record<string, object> = {
    'seller-event.v1.schema.json': schemaOf(SellerEvent),
    'top-clients-view.schema.json': schemaOf(TopClientsView),
    'problem.schema.json': schemaOf(Problem),
    'asyncapi.json': asyncApiDocument(),
    'openapi.json': openApiDocument(),
  };
  return new Map(
    Object.entries(contents).map(([name, json]) => [name, `${JSON.stringify(json, null, 2)}\n`]),
  );
}

type Schema = Record<string, unknown>;

const schemaOf = (schema: z.ZodType): Schema =>
  z.toJSONSchema(schema, {
    // For readers: unknown members are allowed.
    io: 'input',
    override: ({ jsonSchema }) => {
      if (jsonSchema.format === 'date-time') delete jsonSchema.pattern;
    },
  }) as Schema;

const TYPES = SellerChange.options.map((option) => option.shape.type.value);

/** The topic of seller events as AsyncAPI 3: what a team needs to write a reader in any language. */
function asyncApiDocument(): object {
  const { $schema, $defs, ...sellerEvent } = schemaOf(SellerEvent) as Schema & {
    $defs: Record<string, Schema>;
  };
  const schemas = moveReferences({ SellerEvent: sellerEvent, ...$defs });
  const kafka = { bindingVersion: '0.5.0' };
  const key = { type: 'string', pattern: '^[1-9][0-9]{0,15}$', description: 'The seller id' };
  const message = (
    name: string,
    type: string,
    title: string,
    payload: object,
    headers = {},
    itsKey = key,
  ) => ({
    name,
    title,
    contentType: CLOUD_EVENTS.contentType,
    headers: headersOf(type, headers),
    payload,
    bindings: { kafka: { key: itsKey, ...kafka } },
  });
  const events = TYPES.map((type) => [
    type,
    message(type, cloudEventType(type), `The change ${type} and the list it led to`, {
      allOf: [
        { $ref: '#/components/schemas/SellerEvent' },
        { type: 'object', properties: { change: { type: 'object', properties: { type: { const: type } } } } },
      ],
    }),
  ]);
  const tombstone = message(
    'tombstone',
    cloudEventType('seller-erased'),
    'Follows an erasure, so that compaction drops what came before. It may be all that is left: the list is empty at the version in ce_id, as committed at ce_time',
    { type: 'null' },
  );
  const moved = message(
    SELLER_MOVED,
    MOVED_TYPE,
    'The seller stands in another partition since the topic grew; it says nothing of the list, and readers pass over it. With the key 0 it is of no seller: every partition gets one twice a day, so that Kafka ends its segments',
    { type: 'null' },
    {
      ce_id: {
        type: 'string',
        pattern: '^[0-9]+/[0-9]+/moved$',
        description: '<seller>/<version>/moved',
      },
    },
    { ...key, pattern: '^(0|[1-9][0-9]{0,15})$', description: 'The seller id, or 0' },
  );
  const repair = message(
    REPAIR,
    REPAIR_TYPE,
    "A seller's newest event once more, because a view had another row; null: the source does not know the seller",
    { oneOf: [{ $ref: '#/components/schemas/SellerEvent' }, { type: 'null' }] },
    {
      ce_id: {
        type: 'string',
        pattern: '^[1-9][0-9]*/[0-9]+/repair/.+$',
        description: '<seller>/<version>/repair/<what it replaces>',
      },
      [REPLACES_HEADER]: {
        type: 'string',
        pattern: '^-?[0-9]+:-?[0-9]+$',
        description:
          '<version>:<digest> of the one wrong row that this may replace at its version or above it. A reader that does not know the digest takes the message for an ordinary event',
      },
    },
  );
  const names = [...TYPES, REPAIR, 'tombstone', SELLER_MOVED];
  const messages = names.map((name) => ({ $ref: `#/channels/sellerEvents/messages/${name}` }));
  const { 'cleanup.policy': policy, ...settings } = SELLER_EVENTS.settings;
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Top Clients: seller events',
      version: `${CLOUD_EVENTS.schemaVersion}.0.0`,
      license: { name: 'Apache-2.0' },
      description:
        'CloudEvents 1.0 in Kafka binary mode. Every event carries the full list, so the newest message of a seller ' +
        'is enough to build a view. Apply an event only when its version is newer than yours: messages can come ' +
        'twice, and after a replay from the beginning out of order. Ignore members you do not know.',
    },
    defaultContentType: CLOUD_EVENTS.contentType,
    channels: {
      sellerEvents: {
        address: SELLER_EVENTS.topic,
        title: 'Every change of every list',
        description: 'Compacted; the key is the seller, so the events of one seller keep their order',
        messages: Object.fromEntries(names.map((name) => [name, { $ref: `#/components/messages/${name}` }])),
        bindings: {
          kafka: {
            topic: SELLER_EVENTS.topic,
            partitions: SELLER_EVENTS.defaultPartitions,
            topicConfiguration: {
              'cleanup.policy': [policy],
              ...Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, Number(value)])),
            },
            ...kafka,
          },
        },
      },
    },
    operations: {
      publishSellerEvents: {
        action: 'send',
        channel: { $ref: '#/channels/sellerEvents' },
        summary: 'The relay of the source of truth publishes what was committed',
        messages,
      },
    },
    components: {
      schemas,
      messages: Object.fromEntries([
        ...events,
        [REPAIR, repair],
        ['tombstone', tombstone],
        [SELLER_MOVED, moved],
      ]),
    },
  };
}

const headersOf = (type: string, more: object) => ({
  type: 'object',
  required: ['ce_specversion', 'ce_id', 'ce_source', 'ce_type', 'ce_time', 'content-type'],
  properties: {
    ce_specversion: { type: 'string', const: CLOUD_EVENTS.specversion },
    ce_id: {
      type: 'string',
      pattern: '^[1-9][0-9]*/[1-9][0-9]*$',
      description: '<seller>/<version>: the same for every copy of an event',
    },
    ce_source: { type: 'string', const: CLOUD_EVENTS.source },
    ce_type: { type: 'string', const: type },
    ce_time: { type: 'string', format: 'date-time', description: 'When the change was committed' },
    'content-type': { type: 'string', const: CLOUD_EVENTS.contentType },
    traceparent: { type: 'string', description: 'W3C trace context of the request that made the change' },
    ...more,
  },
});

const moveReferences = (schemas: Record<string, Schema>): Record<string, Schema> =>
  JSON.parse(JSON.stringify(schemas).replaceAll('"#/$defs/', '"#/components/schemas/'));
