import { z } from 'zod';
import { Client, ClientId, LIMITS, SellerId } from './client.ts';
import { ErasureId } from './erasures.ts';
import { Change } from './events.ts';

const Version = z
  .int()
  .min(0)
  .meta({ id: 'Version', description: 'How many changes the list has seen; 0 before the first' });

/** A seller's list. A seller without clients has an empty one; there are no unknown sellers. */
export const SellerClients = z
  .object({
    sellerId: SellerId,
    version: Version,
    clients: z.array(Client),
    updatedAt: z.iso
      .datetime()
      .nullable()
      .meta({ description: 'When the list last changed, UTC; null before the first change' }),
  })
  .meta({ id: 'SellerClients' });
export type SellerClients = z.infer<typeof SellerClients>;

/** The ids of all clients of the list, in the order wanted. */
export const ClientOrder = z
  .strictObject({ clientIds: z.array(ClientId).max(LIMITS.clientsPerSeller) })
  .meta({ id: 'ClientOrder' });
export type ClientOrder = z.infer<typeof ClientOrder>;

export const BatchGetRequest = z
  .strictObject({ sellerIds: z.array(SellerId).min(1).max(LIMITS.sellersPerBatchGet) })
  .meta({ id: 'BatchGetRequest' });

/** One list a seller asked for, in that order. */
export const BatchGetAnswer = z.object({ sellers: z.array(SellerClients) }).meta({ id: 'BatchGetAnswer' });
export type BatchGetAnswer = z.infer<typeof BatchGetAnswer>;

/** What became of a seller after an erasure: an empty list at this version, and a receipt. */
export const ErasureAnswer = z
  .object({
    sellerId: SellerId,
    version: Version,
    erasureId: ErasureId.nullable().meta({
      description: 'null where an erasure is replayed that was made before receipts were kept',
    }),
  })
  .meta({ id: 'ErasureAnswer' });

export const History = z
  .object({
    sellerId: SellerId,
    entries: z.array(
      z.object({
        version: z.int().min(1),
        type: z.string().meta({ description: 'The type of the change, also where the change was erased' }),
        committedAt: z.iso.datetime(),
        change: Change.nullable().meta({ description: 'null below an erasure, from its commit on' }),
      }),
    ),
    next: z
      .int()
      .min(1)
      .nullable()
      .meta({ description: 'Pass it as `after` for the next page; null when this is the last' }),
  })
  .meta({ id: 'History' });
export type History = z.infer<typeof History>;

/** Numbers in an address come as text; `1e3`, `+1` and `01` are no numbers there. */
const integerText = (minimum: number, maximum: number) =>
  z
    .string()
    .regex(/^(0|[1-9]\d{0,15})$/, `must be an integer from ${minimum} to ${maximum}`)
    .transform(Number)
    .pipe(z.int().min(minimum).max(maximum))
    // Without this the document would describe the text instead of the number it stands for.
    .meta({
      override: ({ jsonSchema }) => {
        delete jsonSchema.pattern;
        Object.assign(jsonSchema, { type: 'integer', minimum, maximum });
      },
    });

export const PathSellerId = integerText(1, Number.MAX_SAFE_INTEGER);
export const PathClientId = ClientId;

/** Addresses without parameters refuse any, so that a misspelt one is noticed. */
export const NoQuery = z.strictObject({});

export const HistoryQuery = z.strictObject({
  after: integerText(0, Number.MAX_SAFE_INTEGER).default(0),
  limit: integerText(1, 100).default(50),
});

export const EnrichmentQuery = z.strictObject({
  ids: z
    .string()
    .transform((ids) => ids.split(','))
    .pipe(z.array(ClientId).min(1).max(LIMITS.clientsPerSeller))
    .meta({
      description:
        'Ids of clients, separated by commas; those that are not in the list are left out of the answer',
      override: {
        type: 'array',
        items: { $ref: '#/components/schemas/ClientId' },
        minItems: 1,
        maxItems: LIMITS.clientsPerSeller,
      },
      param: { style: 'form', explode: false },
    }),
});

export const IdempotencyKey = z
  .string()
  .regex(/^[\x21-\x7e]{1,255}$/, 'must be 1 to 255 visible ASCII characters, like a UUID');
