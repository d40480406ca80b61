/**
 * What the read surface costs, on one PostgreSQL in interleaved rounds: a read through it against one of the table
 * behind it, a write that notifies against one that does not, and how long readers wait for a switch.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '#contracts/client.ts';
import { listIfNewer } from '#pages/list-cache.ts';
import { viewSchema } from '#pages/projection.ts';
import { silentLog } from '#platform/log.ts';
import { connect, type Client as Session } from '#platform/postgres.ts';
import { startPostgres } from '../services/local-stack/postgres.ts';
import { migratePage } from '../services/migrate/databases.ts';
import { showView } from '../services/migrate/read-surface.ts';
import { median } from './report.ts';

const ROUNDS = 5;
const READS = 4_000;
const WRITES = 1_000;
const SELLERS = 5_000;
const SWITCHES = 20;
const [FIRST, SECOND] = [viewSchema('asynchronous', 1), viewSchema('asynchronous', 2)];

const folder = await mkdtemp(join(tmpdir(), 'bench-read-surface-'));
const postgres = await startPostgres({ dataDir: folder });
await postgres.createDatabase('gig');
const open = () =>
  connect(
    {
      url: postgres.url('gig'),
      applicationName: 'bench-read-surface',
      statementTimeoutMs: 60_000,
      connectTimeoutMs: 5_000,
    },
    () => {},
  );
try {
  for (const version of [1, 2])
    await migratePage('gig', postgres.url('gig'), { delivery: 'asynchronous', version }, silentLog);
  const db = await open();
  const list: Partial<Client>[] = Array.from({ length: 5 }, (_, i) => ({
    name: `Client ${i}`,
    description: 'x'.repeat(80),
  }));
  for (const schema of [FIRST, SECOND]) {
    await db.query(
      `insert into ${schema}.top_clients select seller, 1, now(), $1::json from generate_series(1, $2::bigint) as seller`,
      [JSON.stringify(list), SELLERS],
    );
    await db.query(`vacuum analyze ${schema}.top_clients`);
  }
  const surface = listIfNewer('$1::bigint', '$2');
  const reads = {
    'a read of the table': surface.replace('top_clients.lists', `${FIRST}.top_clients`),
    'a read through the surface': surface,
  };
  const writes = {
    'a write of a view that is not shown': SECOND,
    'a write of the one that is, which notifies': FIRST,
  };
  const took = new Map<string, number[]>();
  const time = async (what: string, times: number, once: (i: number) => Promise<unknown>) => {
    const began = performance.now();
    for (let i = 0; i < times; i++) await once(i);
    const each = ((performance.now() - began) / times) * 1_000;
    took.set(what, [...(took.get(what) ?? []), each]);
  };
  for (let round = 0; round <= ROUNDS; round++) {
    // The first round warms up.
    if (round === 1) took.clear();
    for (const [what, text] of Object.entries(reads)) {
      await time(what, READS, (i) =>
        db.query({ name: what, text: `select ${text}`, values: [1 + (i % SELLERS), null] }),
      );
    }
    for (const [what, schema] of Object.entries(writes)) {
      const text = `update ${schema}.top_clients set version = version + 1 where seller_id between $1 and $1 + 3`;
      await time(what, WRITES, (i) =>
        db.query({ name: what, text, values: [1 + ((4 * i) % (SELLERS - 4))] }),
      );
    }
  }
  process.stdout.write(`${cpus()[0]?.model}; µs, least, median and greatest of ${ROUNDS} rounds\n`);
  for (const [what, each] of took) process.stdout.write(`${what}: ${spread(each)}\n`);
  await timeSwitches(db);
  await db.end();
} finally {
  await postgres.stop();
  await rm(folder, { recursive: true, force: true });
}

/** Four readers read all the time. */
async function timeSwitches(db: Session): Promise<void> {
  let over = false;
  const waits: number[] = [];
  const reading = Array.from({ length: 4 }, async (_, reader) => {
    const session = await open();
    for (let i = reader; !over; i += 4) {
      const began = performance.now();
      await session.query({
        name: 'read',
        text: 'select clients from top_clients.lists where seller_id = $1',
        values: [1 + (i % SELLERS)],
      });
      waits.push(performance.now() - began);
    }
    await session.end();
  });
  const switches: number[] = [];
  for (let i = 0; i < SWITCHES; i++) {
    const began = performance.now();
    await showView(db, 'gig', { delivery: 'asynchronous', version: 2 - (i % 2) }, 10_000);
    switches.push(performance.now() - began);
  }
  over = true;
  await Promise.all(reading);
  process.stdout.write(`${SWITCHES} switches under four readers, ms: ${spread(switches)}\n`);
  process.stdout.write(`their ${waits.length} reads meanwhile, ms: ${spread(waits)}\n`);
}

function spread(values: readonly number[]): string {
  return [Math.min(...values), median(values), Math.max(...values)]
    .map((one) => one.toPrecision(3))
    .join(', ');
}
