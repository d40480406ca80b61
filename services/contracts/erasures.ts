import { z } from 'zod';
import { SellerId } from './client.ts';
import { ERASED_BYTES_LEAVE_WITHIN_DAYS } from './topics.ts';

/**
 * Every kind of store that has held something of a seller, and who reports for it:
 *
 * - `state`, `idempotency-keys`: the transaction of the erasure itself.
 * - `log`: the source, once the last batch is empty.
 * - `outbox`: the relay, in the transaction that deletes the tombstone behind everything else of the seller.
 * - `topic`: whoever has read it from end to end and found nothing of the seller before the tombstone.
 * - `view`, `parked-messages`: the watcher of the page, by looking into its database; one each for every version of
 *   a view that is there, shown or not.
 * - `page-cache`: the page servers, each for its own memory; the watcher carries what they say.
 * - `changes`: self-view, for its record of what sellers changed there.
 */
export const ERASURE_STORES = [
  'state',
  'log',
  'idempotency-keys',
  'outbox',
  'topic',
  'view',
  'parked-messages',
  'page-cache',
  'changes',
] as const;
export type ErasureStore = (typeof ERASURE_STORES)[number];

/** All but the topic are promised to have confirmed within this many minutes. */
export const ERASURE_CONFIRMED_WITHIN_MINUTES = 10;

/** Why the store `topic` is open once the tombstone is acknowledged. */
export const UNTIL_COMPACTED =
  'the tombstone is acknowledged; compaction removes what stands before it, and nobody has seen yet that it did';

/** The place of a store of a page's view: `gig asynchronous-v1`. */
export const placeOfView = (page: string, delivery: string, version: number): string =>
  `${page} ${delivery}-v${version}`;

export const ErasureId = z
  .uuid()
  .meta({ id: 'ErasureId', description: 'Of a receipt; whoever knows it may read the receipt' });

const Instant = z.iso.datetime();

export const ErasureReceipt = z
  .object({
    id: ErasureId,
    sellerId: SellerId,
    version: z
      .int()
      .min(0)
      .meta({ description: 'The version the erasure led to; all before it is forgotten' }),
    requestedAt: Instant,
    complete: z.boolean().meta({ description: 'Whether every store has confirmed' }),
    completedAt: Instant.nullable().meta({ description: 'When the last store confirmed' }),
    stores: z.array(
      z.object({
        store: z.enum(ERASURE_STORES),
        place: z.string().nullable().meta({
          description: 'Which one of several: a page with a version of its view, like `gig asynchronous-v1`',
        }),
        confirmedAt: Instant.nullable().meta({
          description:
            'When the store itself reported that nothing from before the erasure can be read in it any more; null as ' +
            'long as it has not',
        }),
        openBecause: z.string().nullable().meta({ description: 'Why it has not confirmed, as it said last' }),
        bytesUntil: Instant.nullable().meta({
          description:
            'Until when bytes on a disk may outlive the confirmation. null promises no time: a database overwrites ' +
            'the space of deleted rows and its write-ahead log when it needs them, and keeps backups as long as its ' +
            `administrator does. Of the topic: ${ERASED_BYTES_LEAVE_WITHIN_DAYS} days after the tombstone was acknowledged`,
        }),
      }),
    ),
  })
  .meta({ id: 'ErasureReceipt' });
export type ErasureReceipt = z.infer<typeof ErasureReceipt>;
