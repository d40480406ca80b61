import { LIMITS } from '#contracts/client.ts';
import { decide, evolve, type Rejection, type Seller, type SellerCommand } from '../domain/seller.ts';
import type { CommandVerdict, Kept, Locked, Sellers, WriteRequest, WriteResult } from './ports.ts';

/** The outcome of a command, from which the answer is made. */
export interface CommandOutcome {
  readonly version: number;
  /** The id that was drawn for the client of an `add-client`. */
  readonly addedId: string | null;
  /** The list at that version; null for a repeated request when the list has changed since. */
  readonly list: (Seller & { readonly updatedAt: string | null }) | null;
}

/**
 * Runs the domain's decision in the store's transaction. A request repeated under its idempotency key is answered from
 * what the key kept and the present list.
 * @param answer makes the caller's answer
 */
export async function runCommand<Answer>(
  sellers: Sellers,
  request: WriteRequest,
  command: SellerCommand,
  answer: (outcome: CommandOutcome) => Answer,
): Promise<WriteResult<Answer>> {
  const rule = ({ seller, updatedAt, now, keys }: Locked): CommandVerdict<Answer> | 'too-many-keys' => {
    // The command is refused; no older key is dropped, because a key keeps its promise for a whole day. An erasure is
    // always allowed, whatever the seller did before.
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
  // A version never changes: if the list is still at that version, it is the list of the first answer.
  const list = seller.version === version ? { ...seller, updatedAt } : null;
  return { kind: 'done' as const, version, answer: answer({ version, addedId, list }) };
}

/** A caller may send any number of ids, so they are not stored. Whoever repeats the request reads the list anyway. */
const withoutLists = (rejection: Rejection): Rejection =>
  rejection.reason === 'order-mismatch'
    ? { ...rejection, missing: [], unknown: [], repeated: [] }
    : rejection;
