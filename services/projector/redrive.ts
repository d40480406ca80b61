import { type Projection, viewSchema } from '#pages/projection.ts';
import { projectionsOf } from '#pages/projections.ts';
import { VIEW_SETTINGS } from '#pages/view-settings.ts';
import type { Log } from '#platform/log.ts';
import { connect, type Queryable } from '#platform/postgres.ts';
import { defineRole } from '#role/role.ts';
import { type Retried, retryParked } from './parked.ts';

interface RedriveReport {
  /** Messages that changed the view. */
  readonly applied: number;
  /** Messages whose version the view had reached already. */
  readonly superseded: number;
  /** Messages that still cannot be applied, with today's reason. */
  readonly remaining: ReadonlyArray<{
    partition: number;
    offset: number;
    sellerId: number | null;
    reason: string;
  }>;
}

/**
 * Tries every parked message again, due or not. Projectors, which do the same by themselves, may run meanwhile.
 * @throws when the database fails for another reason than a row
 */
export async function redrive(
  db: Queryable,
  projection: Projection,
  log: Log,
  lost: AbortSignal = NEVER,
): Promise<RedriveReport> {
  const retried = await retryParked(
    db,
    projection,
    { dueOnly: false, waits: true, limit: Number.POSITIVE_INFINITY },
    lost,
  );
  const remaining = retried.flatMap(({ partition, offset, sellerId, reason }) =>
    reason === null ? [] : [{ partition, offset, sellerId, reason }],
  );
  for (const one of remaining) log.warn(one, 'remains parked');
  const count = (result: Retried['result']) => retried.filter((one) => one.result === result).length;
  return { applied: count('applied'), superseded: count('superseded'), remaining };
}

const NEVER = new AbortController().signal;

export const role = defineRole({
  name: 'redrive',
  about: 'tries the parked messages of a view again, and tells what remains',
  settings: VIEW_SETTINGS,
  isGuest: true,
  async start({ page, delivery, viewVersion, databaseUrl, databaseCaFile }, { log, releases }) {
    const lost = new AbortController();
    const db = await connect(
      {
        url: databaseUrl,
        caFile: databaseCaFile,
        applicationName: 'redrive',
        statementTimeoutMs: 30_000,
        connectTimeoutMs: 5_000,
        primaryOnly: true,
        searchPath: [viewSchema(delivery, viewVersion), 'public'],
      },
      (err) => {
        lost.abort(err);
        log.error({ err }, 'lost the database');
      },
    );
    releases.push('database', () => db.end());
    const { applied, superseded, remaining } = await redrive(
      db,
      projectionsOf(page)[delivery],
      log,
      lost.signal,
    );
    log.info({ page, delivery, viewVersion, applied, superseded, remaining: remaining.length }, 'redriven');
    return 'done';
  },
});
