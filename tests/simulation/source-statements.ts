import type { Queryable } from '#platform/postgres.ts';
import type { OutboxRow } from '../../services/top-clients/adapters/postgres/outbox.ts';
import type { Session } from './database.ts';
import type { SimSource } from './sim-source.ts';

type Statement = (source: SimSource, values: readonly unknown[]) => unknown[];

const idsIn = (literal: unknown): Set<number> =>
  new Set(
    String(literal)
      .slice(1, -1)
      .split(',')
      .filter((id) => id !== '')
      .map(Number),
  );

const inOrder = (source: SimSource): OutboxRow[] =>
  [...source.outbox.values()].toSorted((a, b) => a.id - b.id);

/** As an array, as the relay asks for it, with the layout of the same moment. */
const outboxTuple = (row: OutboxRow, partitions: number) => [
  row.id,
  row.sellerId,
  row.version,
  row.type,
  row.value,
  row.committedAt,
  row.traceparent,
  row.replaces,
  row.partition,
  partitions,
];

const sellerTuple = (source: SimSource, sellerId: number) => {
  const { version, clients, erased, updatedAt } = source.sellers.get(sellerId)!;
  return [sellerId, version, JSON.stringify(clients), erased, updatedAt];
};
const isKnown = (source: SimSource) => (sellerId: number) => source.versionOf(sellerId) > 0;

function ackAndFetch(source: SimSource, [remove, , , except, held, limit, floor]: readonly unknown[]) {
  source.remove([...idsIn(remove)]);
  const [skipped, heldSellers] = [idsIn(except), idsIn(held)];
  return inOrder(source)
    .filter(({ id, sellerId }) => id >= (floor as number) && !skipped.has(id) && !heldSellers.has(sellerId))
    .slice(0, limit as number)
    .map((row) => outboxTuple(row, source.layout));
}

/** The effect of the statements of outbox.ts, id-floor.ts and audit-source.ts, by their names. */
const STATEMENTS: Readonly<Record<string, Statement>> = {
  'ack-and-fetch': ackAndFetch,
  // The simulation has no receipts.
  'ack-and-fetch-with-receipts': ackAndFetch,
  'find-row': (source, [id]) => {
    const row = source.outbox.get(id as number);
    return row ? [outboxTuple(row, source.layout)] : [];
  },
  'last-id': (source) => [{ last: source.lastId || null, cache: 1, step: 1 }],
  writers: (source) => [...source.writers].map((transaction) => ({ transaction, pid: 1 })),
  'newest-id': (source) => [{ newest: source.lastId || null }],
  'oldest-unsent': (source, [from]) =>
    inOrder(source)
      .filter(({ id }) => id >= (from as number))
      .slice(0, 1)
      .map(({ id }) => ({ id })),
  'truths-next': (source, [after, limit]) =>
    [...source.sellers.keys()]
      .filter((sellerId) => sellerId > (after as number))
      .filter(isKnown(source))
      .toSorted((a, b) => a - b)
      .slice(0, limit as number)
      .map((sellerId) => sellerTuple(source, sellerId)),
  'truths-of': (source, [sellers]) =>
    [...idsIn(sellers)].filter(isKnown(source)).map((sellerId) => sellerTuple(source, sellerId)),
};

/** As PostgreSQL writes it. */
const asText = (value: unknown) => (value === null ? null : String(value));
type Done = (err: unknown, answer?: { rows: (string | null)[][]; count: number }) => void;

/** A connection to the source's database, for the product's own statements; those of `runStatement` are told by callback. */
export const sourceDatabase = (source: SimSource, session: Session): Queryable =>
  ({
    query: ({ name, values = [] }: { name: string; values?: readonly unknown[] }, done?: Done) => {
      const statement = STATEMENTS[name];
      if (statement === undefined) throw new Error(`the simulated source has no statement ${name}`);
      const answer = session.query(() => ({ rows: statement(source, values) }));
      if (done === undefined) return answer;
      return answer.then(
        ({ rows }) =>
          done(null, { rows: rows.map((row) => (row as unknown[]).map(asText)), count: rows.length }),
        done,
      );
    },
  }) as unknown as Queryable;
