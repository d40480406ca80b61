/** Makes source and view as large as those of many sellers, with rows that cost little to make. */
import { connect } from '#platform/postgres.ts';
import { type Pipeline, VIEW } from '../../services/local-stack/pipeline.ts';
import { addEmptyStates } from '../../services/top-clients/adapters/postgres/bulk-writes.ts';

const LONGEST_MS = 600_000;

const session = (url: string, searchPath?: readonly string[]) =>
  connect(
    {
      url,
      applicationName: 'bench-grow',
      statementTimeoutMs: LONGEST_MS,
      connectTimeoutMs: 5_000,
      ...(searchPath ? { searchPath } : {}),
    },
    () => {},
  );

/** Adds the sellers `first` to `last`, each with an empty list at version 1, in the source and in the gig page's view. */
export async function grow(pipeline: Pipeline, first: number, last: number): Promise<void> {
  if (first > last) return;
  const source = await session(pipeline.postgres.url('source'));
  const view = await session(pipeline.pagesPostgres.url('gig'), [VIEW, 'public']);
  try {
    // Without triggers: nobody need be notified of these rows.
    await view.query('set session_replication_role = replica');
    await Promise.all([
      addEmptyStates(source, first, last),
      view
        .query(
          `insert into top_clients (seller_id, version, committed_at, clients)
          select seller_id, 1, now(), '[]' from generate_series($1::bigint, $2::bigint) seller_id`,
          [first, last],
        )
        .then(() => view.query('vacuum (freeze, analyze) top_clients')),
    ]);
    // What was written here must not be flushed at the expense of a measurement.
    await Promise.all([source.query('checkpoint'), view.query('checkpoint')]);
  } finally {
    await Promise.all([source.end(), view.end()]);
  }
}
