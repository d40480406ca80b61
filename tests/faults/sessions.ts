/** Sessions of strangers in our databases: locks, old snapshots, listeners that do not read. */
import pg from 'pg';
import { pause } from '#platform/lifecycle.ts';
import { until } from '../../services/local-stack/until.ts';
import { killForSure } from './crashes.ts';
import type { Fault } from './fault.ts';
import { type FaultWorld, VIEW_SCHEMA } from './world.ts';

/** A session without timeouts. Its end is no error, because in a combination another fault may kill the server. */
async function openSession(url: string): Promise<pg.Client> {
  const db = new pg.Client({
    connectionString: url,
    application_name: 'somebody-else',
    connectionTimeoutMillis: 3_000,
  });
  db.on('error', () => {});
  await db.connect();
  await db.query("set idle_in_transaction_session_timeout = 0; set statement_timeout = '60s'");
  return db;
}

/** Opens and prepares a session, and retries while a server that another fault has killed is down. */
async function insistOn(url: string, prepare: (db: pg.Client) => Promise<unknown>): Promise<pg.Client> {
  let session: pg.Client | undefined;
  await until('the session is open', async () => {
    const db = await openSession(url);
    try {
      await prepare(db);
    } catch (err) {
      await db.end().catch(() => {});
      throw err;
    }
    session = db;
    return true;
  });
  return session!;
}

const end = (db: pg.Client) => db.end().catch(() => {});

/** Rows that are written and deleted in one transaction: nobody ever sees them, and vacuum cannot remove them. */
const DEAD_ROWS = 20_000;

export const sessions: readonly Fault[] = [
  {
    name: 'locked-view-with-rebalance',
    about:
      'the table of the view of gig is locked for longer than a statement may take, while one projector comes, one is killed and the one that came goes',
    touches: 'projector',
    pages: 'answer',
    seconds: [22, 26],
    signal: { anyOf: ['TopClientsPartitionDoesNotMove'], afterSeconds: 15 },
    async inject({ world, log }) {
      // Reads continue; they would also continue during a migration or a dump that locks like this.
      const holder = await insistOn(world.postgres.pages.url('gig'), async (db) => {
        await db.query('begin');
        await db.query(`lock table ${VIEW_SCHEMA}.top_clients in exclusive mode`);
      });
      let further: Awaited<ReturnType<FaultWorld['startFurtherProjector']>> | undefined;
      const over = new AbortController();
      // A statement waits for 10 s. Partitions change hands shortly before it times out, and again the next time.
      const comings = (async () => {
        await pause(6_000, over.signal);
        if (over.signal.aborted) return;
        further = await world.startFurtherProjector();
        await pause(500, over.signal);
        await killForSure(world.role('projector-gig-2'));
        await pause(8_500, over.signal);
        await further.stop();
      })().catch((err: Error) => log(`projectors that come and go: ${err.message}`));
      return async () => {
        over.abort();
        await comings;
        await further?.stop();
        await end(holder);
      };
    },
  },
  {
    name: 'old-snapshot',
    about:
      'a dump keeps a snapshot of the source and of the pages open, while rows of the outbox die and cannot be cleaned away',
    touches: 'snapshot',
    pages: 'answer',
    seconds: [5, 9],
    async inject({ world }) {
      const { source, pages } = world.postgres;
      const urls = [source.url('source'), pages.url('gig'), pages.url('user')];
      const holders = await Promise.all(
        urls.map((url, i) =>
          insistOn(url, async (db) => {
            await db.query('begin isolation level repeatable read');
            await db.query(
              i === 0 ? 'select from outbox limit 1' : `select from ${VIEW_SCHEMA}.top_clients limit 1`,
            );
          }),
        ),
      );
      const dying = await insistOn(urls[0]!, leaveDeadRows);
      await end(dying);
      return async () => {
        for (const holder of holders) await end(holder);
      };
    },
  },
  {
    name: 'notify-queue-full',
    about:
      'one session listens and stays in a transaction, others notify until the queue of the PostgreSQL of the pages is full',
    touches: 'notify-queue',
    pages: 'answer',
    seconds: [9, 12],
    signal: { anyOf: ['TopClientsNotifyQueueFills'], afterSeconds: 7 },
    async inject({ world, log }) {
      const url = world.postgres.pages.url('gig');
      const holder = await insistOn(url, async (db) => {
        await db.query('listen somebody_else');
        await db.query('begin');
        await db.query('select 1');
      });
      const filler = await insistOn(url, async () => {});
      await until('the queue is full', async () => {
        try {
          // PostgreSQL sends equal notifications of a transaction only once, hence the random text.
          await filler.query("select pg_notify('somebody_else', random()::text || repeat('x', 7900))");
          return false;
        } catch (err) {
          if ((err as { code?: string }).code !== '54000') throw err;
          return true;
        }
      }).catch((err: Error) => log(`${err.message}; a combination may have ended the one who listens`));
      await end(filler);
      return () => end(holder);
    },
  },
];

async function leaveDeadRows(db: pg.Client): Promise<void> {
  await db.query('begin');
  await db.query(
    `insert into outbox (bucket, seller_id, version, type, value, committed_at)
    select 0, 1000000002, 1, 'nobody', '{}', now() from generate_series(1, ${DEAD_ROWS})`,
  );
  await db.query('delete from outbox where seller_id = 1000000002');
  await db.query('commit');
}
