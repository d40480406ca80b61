import type { Queryable } from '#platform/postgres.ts';
import { viewSchema } from './projection.ts';

/** A version of a view that stands in a page's database. */
export interface StandingView {
  readonly delivery: 'asynchronous' | 'hybrid';
  readonly version: number;
}

/** Every version of a view in a page's database, whether shown, kept up or not. */
export async function viewsIn(db: Queryable): Promise<readonly StandingView[]> {
  const { rows } = await db.query<{ name: string }>(
    // Read from the catalogue, which every user may read; to name the table takes a right on its schema.
    `select nspname as name from pg_namespace schema join pg_class held on relnamespace = schema.oid
    where nspname like 'top\\_clients\\_%' and relname = 'top_clients'
    order by nspname`,
  );
  return rows.flatMap(({ name }) => {
    const [, delivery, version] = /^top_clients_(asynchronous|hybrid)_v([1-9]\d{0,6})$/.exec(name) ?? [];
    if (delivery === undefined) return [];
    const view = { delivery: delivery as StandingView['delivery'], version: Number(version) };
    return viewSchema(view.delivery, view.version) === name ? [view] : [];
  });
}
