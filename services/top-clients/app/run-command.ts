import { type Command, decide, evolve, type Seller } from '../domain/seller.ts';
import type { Locked, Sellers, Verdict, WriteRequest, WriteResult } from './ports.ts';

/**
 * Takes the domain's decision into the store's transaction.
 * @param answer what the caller gets, from the list after the command and the instant of its last change
 */
export const runCommand = <Answer>(
  sellers: Sellers,
  request: WriteRequest,
  command: Command,
  answer: (after: Seller, updatedAt: string | null) => Answer,
): Promise<WriteResult<Answer>> =>
  sellers.write(request, ({ seller, updatedAt, now }: Locked): Verdict<Answer> => {
    const decision = decide(seller, command);
    if ('rejection' in decision) {
      return { commits: [], decided: { kind: 'rejected', rejection: decision.rejection } };
    }
    let after = seller;
    const commits = decision.events.map((change) => {
      after = evolve(after, change);
      return { change, after };
    });
    return {
      commits,
      ...(command.kind === 'erase-seller' ? { erasedAt: after.version } : {}),
      decided: {
        kind: 'done',
        version: after.version,
        answer: answer(after, commits.length > 0 ? now : updatedAt),
      },
    };
  });
