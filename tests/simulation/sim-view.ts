import type { FullListRow } from '../../services/pages/views/full-list.ts';
import { fullList } from '../../services/pages/views/full-list.ts';
import type { Difference, Truth, View } from '../../services/view-audit/compare-view.ts';
import type { Session } from './database.ts';
import { digestOf, type SimViewDatabase } from './sim-view-database.ts';

/** Like `postgresView`: the view as the watcher compares it, whole rows in one statement. */
export function simView(database: SimViewDatabase, session: Session): View {
  const compare = (truths: readonly Truth[], isAsked: (sellerId: number) => boolean) =>
    session.query(() => {
      const wanted = new Map(truths.map((truth) => [truth.sellerId, rowOf(truth)]));
      let digest = 0n;
      const differences: Difference[] = [];
      for (const sellerId of new Set([...wanted.keys(), ...database.rows.keys()])) {
        if (!isAsked(sellerId)) continue;
        const expected = wanted.get(sellerId) ?? null;
        const held = database.rows.get(sellerId) ?? null;
        if (expected && held && isSame(expected, held)) {
          digest += digestOf(held);
          continue;
        }
        differences.push({
          sellerId,
          expected: expected?.version ?? null,
          held: held?.version ?? null,
          digests: { expected: expected ? digestOf(expected) : 0n, held: held ? digestOf(held) : 0n },
        });
      }
      return { digest, differences };
    }, 'top_clients');
  return {
    compareRange: (truths, after, through) =>
      compare(truths, (sellerId) => sellerId > after && sellerId <= through),
    compareSellers: (truths, sellerIds) => compare(truths, (sellerId) => sellerIds.includes(sellerId)),
    checkpoints: () => session.query(() => new Map(database.checkpoints)),
    parked: () =>
      session.query(() =>
        database.parked
          .all()
          .flatMap(({ sellerId, version }) =>
            sellerId === null ? [] : [{ sellerId, version, isOutdated: false }],
          ),
      ),
  };
}

/** The row that the view must have for a seller. */
export const rowOf = ({ sellerId, version, committedAt, clients }: Truth): FullListRow =>
  fullList.toRow({
    sellerId,
    version,
    committedAt,
    clients: [...clients],
    change: { type: 'seller-erased' },
  }) as FullListRow;

export const isSame = (a: FullListRow, b: FullListRow): boolean =>
  a.version === b.version && a.committedAt === b.committedAt && a.clients === b.clients;
