import { LIMITS } from '#contracts/client.ts';
import { decide, evolve, type Rejection, type Seller, type SellerCommand } from '../domain/seller.ts';
import type { CommandVerdict, Kept, Locked, Sellers, WriteRequest, WriteResult } from './ports.ts';

/** What a command came to, for the answer to be made of. */
export interface CommandOutcome {
  readonly version: number;
  /** The id that was drawn for the client of an `add-client`. */
  readonly addedId: string | null;
  /** The list at that version; null when an earlier request did it and the list has changed since. */
  readonly list: (Seller & { readonly updatedAt: string | null }) | null;
}

/**
 * Takes the domain's decision into the store's transaction. A repetition of a request under its idempotency key is
 * answered from what the key kept and the list as it is now.
 * @param answer what the caller gets
 */
export async function runCommand<Answer>(
  sellers: Sellers,
  request: WriteRequest,
  command: SellerCommand,
  answer: (outcome: CommandOutcome) => Answer,
): Promise<WriteResult<Answer>> {
  const rule = ({ seller, updatedAt, now, keys }: Locked): CommandVerdict<Answer> | 'too-many-keys' => {
    // Refused rather than an older key forgotten: what a key promises holds for all of its day. Nothing that a seller
    // does may keep an erasure away.
    if (keys >= LIMITS.idempotencyKeysPerSeller && command.kind !== 'erase-seller') return 'too-many-keys';
    const decision = decide(seller, command);
    if ('rejection' in decision) {
      const { rejection } = decision;
      return {
        commits: [],
        decided: { kind: 'rejected', rejection },
        kept: { kind: 'rejected', rejection: withoutLists(rejection) },
      };
    }
    let after = seller;
    const commits = decision.events.map((change) => {
      after = evolve(after, change);
      return { change, after };
    });
    const { version } = after;
    const addedId = command.kind === 'add-client' ? command.clientId : null;
    const list = { ...after, updatedAt: commits.length > 0 ? now : updatedAt };
    return {
      commits,
      ...(command.kind === 'erase-seller' ? { erasedAt: version } : {}),
      decided: { kind: 'done', version, answer: answer({ version, addedId, list }) },
      kept: { kind: 'done', version, addedId },
    };
  };
  const result = await sellers.write(request, rule);
  return result.kind === 'replayed'
    ? { kind: 'replayed', decided: recall(result.kept, result.locked, answer) }
    : result;
}

function recall<Answer>(
  kept: Kept,
  { seller, updatedAt }: Locked,
  answer: (outcome: CommandOutcome) => Answer,
) {
  if (kept.kind === 'rejected') return kept;
  const { version, addedId } = kept;
  // A version has one content: at the same version the list is what was answered first.
  const list = seller.version === version ? { ...seller, updatedAt } : null;
  return { kind: 'done' as const, version, answer: answer({ version, addedId, list }) };
}

/** Lists of ids are of any length a caller likes. Who repeats the request reads the list again anyway. */
const withoutLists = (rejection: Rejection): Rejection =>
  rejection.reason === 'order-mismatch'
    ? { ...rejection, missing: [], unknown: [], repeated: [] }
    : rejection;
