import { decodeEvent } from '#contracts/events.ts';
import { PAGES } from '#pages/index.ts';
import { type Projection, viewSchema } from '#pages/projection.ts';
import { VIEW_SETTINGS } from '#pages/view-settings.ts';
import type { Log } from '#platform/log.ts';
import { connect, type Queryable } from '#platform/postgres.ts';
import { defineRole } from '#platform/role.ts';

export interface RedriveReport {
  /** Messages that changed the view. */
  readonly applied: number;
  /** Messages of sellers whose view was newer already. */
  readonly superseded: number;
  /** Messages that still cannot be applied, with today's reason. */
  readonly remaining: ReadonlyArray<{
    partition: number;
    offset: number;
    sellerId: number | null;
    reason: string;
  }>;
}

interface ParkedRow {
  partition: number;
  message_offset: number;
  seller_id: number | null;
  key: string | null;
  type: string | null;
  value: string | null;
}

/**
 * Tries every parked message again, one by one, each in a transaction of its own: applied under the guard of the
 * version and forgotten, or kept with the new reason. Projectors may run meanwhile.
 */
export async function redrive(db: Queryable, projection: Projection, log: Log): Promise<RedriveReport> {
  let applied = 0;
  let superseded = 0;
  const remaining: Array<RedriveReport['remaining'][number]> = [];
  const { rows } = await db.query<ParkedRow>(
    `select partition, message_offset, seller_id, key, type, value from parked order by partition, message_offset`,
  );
  for (const row of rows) {
    const where = { partition: row.partition, offset: row.message_offset, sellerId: row.seller_id };
    const outcome = await redriveOne(db, projection, row);
    if (outcome === 'applied') applied += 1;
    else if (outcome === 'superseded') superseded += 1;
    else {
      remaining.push({ ...where, reason: outcome.reason });
      log.warn({ ...where, reason: outcome.reason }, 'remains parked');
    }
  }
  return { applied, superseded, remaining };
}

async function redriveOne(
  db: Queryable,
  projection: Projection,
  row: ParkedRow,
): Promise<'applied' | 'superseded' | { reason: string }> {
  const decoded = decodeEvent({ key: row.key, value: row.value, type: row.type });
  if (decoded.kind === 'unreadable') return keep(db, row, decoded.reason);
  await db.query('begin');
  try {
    const changed =
      decoded.kind === 'event' ? await projection.upsert(db, [projection.toRow(decoded.event)]) : 0;
    await db.query('delete from parked where partition = $1 and message_offset = $2', [
      row.partition,
      row.message_offset,
    ]);
    await db.query('commit');
    return changed > 0 ? 'applied' : 'superseded';
  } catch (err) {
    await db.query('rollback');
    return keep(db, row, `the view refuses it: ${(err as Error).message}`);
  }
}

async function keep(db: Queryable, row: ParkedRow, reason: string): Promise<{ reason: string }> {
  await db.query('update parked set reason = $3 where partition = $1 and message_offset = $2', [
    row.partition,
    row.message_offset,
    reason,
  ]);
  return { reason };
}

export const role = defineRole({
  name: 'redrive',
  about: 'tries the parked messages of a view again, and tells what remains',
  settings: VIEW_SETTINGS,
  async start({ page, delivery, viewVersion, databaseUrl }, { log, releases }) {
    const db = await connect(
      {
        url: databaseUrl,
        applicationName: 'redrive',
        statementTimeoutMs: 30_000,
        connectTimeoutMs: 5_000,
        searchPath: [viewSchema(delivery, viewVersion), 'public'],
      },
      (err) => log.error({ err }, 'lost the database'),
    );
    releases.push('database', () => db.end());
    const { applied, superseded, remaining } = await redrive(db, PAGES[page].projections[delivery], log);
    log.info({ page, delivery, viewVersion, applied, superseded, remaining: remaining.length }, 'redriven');
    return 'done';
  },
});
