import { z } from 'zod';
import { viewSchema } from '#pages/projection.ts';
import type { Queryable } from '#platform/postgres.ts';

export interface KeptView {
  readonly delivery: 'asynchronous' | 'hybrid';
  readonly version: number;
}

/** Parses the name of a view, for example `asynchronous-v1`. */
export const keptView = z.string().transform((text, context): KeptView => {
  const [, delivery, version] = /^(asynchronous|hybrid)-v([1-9]\d{0,6})$/.exec(text) ?? [];
  if (delivery === undefined) {
    context.addIssue({
      code: 'custom',
      message: 'one of them is no view; write asynchronous-v1 or hybrid-v1',
    });
    return z.NEVER;
  }
  return { delivery: delivery as KeptView['delivery'], version: Number(version) };
});

/** Every version of a view in a page's database, whether shown, kept up or not. */
export async function viewsIn(db: Queryable): Promise<readonly KeptView[]> {
  const { rows } = await db.query<{ name: string }>(
    // Read from the catalogue, which every user may read; to name the table takes a right on its schema.
    `select nspname as name from pg_namespace schema join pg_class held on relnamespace = schema.oid
    where nspname like 'top\\_clients\\_%' and relname = 'top_clients'
    order by nspname`,
  );
  return rows.flatMap(({ name }) => {
    const [, delivery, version] = /^top_clients_(asynchronous|hybrid)_v([1-9]\d{0,6})$/.exec(name) ?? [];
    if (delivery === undefined) return [];
    const view = { delivery: delivery as KeptView['delivery'], version: Number(version) };
    return viewSchema(view.delivery, view.version) === name ? [view] : [];
  });
}
