import { z } from 'zod';
import { Client, ClientId, LIMITS, SellerId } from './client.ts';
import { ErasureId } from './erasures.ts';
import { SellerChange } from './events.ts';

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
  .strictObject({
    sellerIds: z
      .array(SellerId)
      .min(1)
      .max(LIMITS.sellersPerBatchGet)
      .check(({ value, issues }) => {
        const seen = new Set<number>();
        for (const [at, sellerId] of value.entries()) {
          if (seen.has(sellerId)) {
            issues.push({
              code: 'custom',
              path: [at],
              input: sellerId,
              message: `names ${sellerId} again; name each seller once`,
            });
          }
          seen.add(sellerId);
        }
      })
      .meta({ uniqueItems: true }),
  })
  .meta({ id: 'BatchGetRequest' });

/** Lists of sellers asked for, in that order. */
export const BatchGetAnswer = z
  .object({
    sellers: z.array(SellerClients),
    remaining: z.array(SellerId).meta({
      description: `Sellers whose lists are left out, because one answer has ${LIMITS.batchGetBytes} bytes of lists at most: ask for them again. Empty nearly always; never all of those asked for`,
    }),
  })
  .meta({ id: 'BatchGetAnswer' });
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

/** Which sellers were forgotten, and by which of their versions: copies of earlier versions have to be deleted. */
export const Erasures = z
  .object({
    erasures: z.array(z.object({ sellerId: SellerId, version: Version, erasedAt: z.iso.datetime() })),
    next: z.iso
      .datetime()
      .nullable()
      .meta({ description: 'Pass it as `since` for the next page; null when this is the last' }),
  })
  .meta({ id: 'Erasures' });
export type Erasures = z.infer<typeof Erasures>;

export const History = z
  .object({
    sellerId: SellerId,
    entries: z.array(
      z.object({
        version: z.int().min(1),
        type: z.string().meta({ description: 'The type of the change, also where the change was erased' }),
        committedAt: z.iso.datetime(),
        change: SellerChange.nullable().optional().meta({
          description:
            'Only for the seller and for who has the scope `top-clients:audit`; null below an erasure, from its commit on',
        }),
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

/**
 * An instant with any offset, as UTC between 1970 and 9999. PostgreSQL refuses offsets of 16 hours and more and the
 * year 0000, and nothing here happened before or happens after.
 */
const InstantOfAnyOffset = z.iso
  .datetime({ offset: true })
  .transform((text) => new Date(Math.min(Math.max(Date.parse(text), 0), LATEST)).toISOString());
const LATEST = Date.parse('9999-12-31T00:00:00Z');

export const ErasuresQuery = z.strictObject({
  since: InstantOfAnyOffset.meta({ description: 'Erasures committed then or later' }),
  limit: integerText(1, 1_000)
    .default(1_000)
    .meta({ description: 'Beside these, those of the same millisecond as the last' }),
});

/** Erasures before which the caller, who keeps copies of lists, has nothing left. */
export const ErasuresConfirmed = z
  .strictObject({ erasures: z.array(z.strictObject({ sellerId: SellerId, version: Version })).max(500) })
  .meta({ id: 'ErasuresConfirmed' });
export type ErasuresConfirmed = z.infer<typeof ErasuresConfirmed>;

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
