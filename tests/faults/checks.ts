/** Gathers the evidence for judging the promises, from the stores themselves. */
import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { projectionsOf } from '#pages/projections.ts';
import { openKafka } from '#platform/kafka/client.ts';
import { silentLog } from '#platform/log.ts';
import { connect } from '#platform/postgres.ts';
import { until } from '../../services/local-stack/until.ts';
import { postgresSource } from '../../services/top-clients/adapters/postgres/audit-source.ts';
import { compareView, type ViewComparison } from '../../services/view-audit/compare-view.ts';
import { openKafkaTopic } from '../../services/view-audit/kafka-topic.ts';
import { postgresView } from '../../services/view-audit/postgres-view.ts';
import { disorderIn, readTopic, type TopicMessage } from '../support/topic.ts';
import { type Finding, gapsInLog, type LogRow } from './findings.ts';
import { BY_HAND } from './messages.ts';
import { type FaultWorld, PAGES_UNDER_FAULT, type PageUnderFault, VIEW_SCHEMA } from './world.ts';

/** I4: how long a view may take to equal the source, once everything is healed. */
export const CATCH_UP_MS = 10_000;

/** Compares every row of a view with the source, while both continue. */
export async function compare(world: FaultWorld, page: PageUnderFault): Promise<ViewComparison> {
  const lost: unknown[] = [];
  const session = { applicationName: 'faults-compare', statementTimeoutMs: 20_000, connectTimeoutMs: 5_000 };
  const source = await connect({ ...session, url: world.postgres.source.url('source') }, (err) =>
    lost.push(err),
  );
  const kafka = openKafka('faults-compare', { brokers: [world.kafka.bootstrap] }, silentLog);
  const topic = openKafkaTopic(kafka, SELLER_EVENTS.topic, silentLog);
  try {
    const view = await connect(
      {
        ...session,
        url: world.postgres.pages.url(page),
        searchPath: [VIEW_SCHEMA, 'public'],
        pipeline: true,
      },
      (err) => lost.push(err),
    );
    try {
      return await compareView(
        postgresSource(source, silentLog),
        await postgresView(view, projectionsOf(page).asynchronous, VIEW_SCHEMA),
        topic,
        { catchUpMs: CATCH_UP_MS, rounds: 20 },
      );
    } finally {
      await view.end().catch(() => {});
    }
  } finally {
    await topic.close();
    await source.end().catch(() => {});
  }
}

/** I4 */
export async function differences(world: FaultWorld): Promise<{ findings: Finding[]; tookMs: number }> {
  const startedAt = performance.now();
  const findings = await Promise.all(
    PAGES_UNDER_FAULT.map(async (page): Promise<Finding[]> => {
      const verdict = await compare(world, page);
      if (verdict.caughtUp && verdict.differing === 0) return [];
      const late = verdict.caughtUp ? '' : `is not caught up ${CATCH_UP_MS / 1_000} s after healing, and `;
      return [
        {
          promise: 'I4',
          what: `the view of ${page} ${late}differs in ${verdict.differing} sellers: ${verdict.examples.join(', ')}`,
        },
      ];
    }),
  );
  return { findings: findings.flat(), tookMs: performance.now() - startedAt };
}

/** The log of the source and the version of each seller. */
export async function readSource(world: FaultWorld) {
  const { rows: log } = await world.source.query<LogRow>(
    `select seller_id as seller, version, type, change -> 'client' ->> 'name' as name, change is null as erased
    from seller_event order by seller_id, version`,
  );
  const { rows: state } = await world.source.query<{ seller_id: number; version: number }>(
    'select seller_id, version from seller where version > 0',
  );
  return { log, state: new Map(state.map((row) => [row.seller_id, row.version])) };
}

/** I2, in the log and on the topic. @param wasCompacted messages may be missing on the topic */
export async function disorder(world: FaultWorld, wasCompacted: boolean): Promise<Finding[]> {
  const { log, state } = await readSource(world);
  const gaps = gapsInLog(log, state);
  if (wasCompacted) return gaps;
  const messages = await sentByTheRelay(world);
  const highest = new Map<number, number>();
  const first = new Map<number, number>();
  for (const { sellerId, version } of messages) {
    if (version === null) continue;
    if (!first.has(sellerId)) first.set(sellerId, version);
    highest.set(sellerId, Math.max(version, highest.get(sellerId) ?? 0));
  }
  return [
    ...gaps,
    ...disorderIn(messages).map((what) => ({ promise: 'I2' as const, what: `on the topic: ${what}` })),
    ...[...state].flatMap(([seller, version]) =>
      first.get(seller) === 1 && highest.get(seller) === version
        ? []
        : [
            {
              promise: 'I2' as const,
              what: `on the topic: seller ${seller} goes from ${first.get(seller)} to ${highest.get(seller)}, the source has ${version}`,
            },
          ],
    ),
  ];
}

const sentByTheRelay = async (world: FaultWorld) =>
  (await readTopic(world.kafka.bootstrap)).filter(({ headers }) => !headers[BY_HAND]);

/** I7: applies all messages once more to views that have them: no row may be written. */
export async function changedByReplay(world: FaultWorld): Promise<Finding[]> {
  const findings = await Promise.all(
    PAGES_UNDER_FAULT.map(async (page): Promise<Finding[]> => {
      const db = world.views[page];
      const rows = async () =>
        new Map(
          (
            await db.query<{ seller_id: number; row: string }>(
              'select seller_id, xmin::text || row_to_json(held)::text as row from top_clients held',
            )
          ).rows.map((one) => [one.seller_id, one.row]),
        );
      const checkpoints = async () =>
        (await db.query('select partition, next_offset from checkpoint order by partition')).rows;
      // A view's checkpoints are up to half a second behind its rows.
      let end = JSON.stringify(await checkpoints());
      await until(
        'the checkpoints rest',
        async () => {
          const before = end;
          end = JSON.stringify(await checkpoints());
          return end === before;
        },
        20_000,
        1_200,
      );
      const before = await rows();
      await db.query('update checkpoint set next_offset = 0');
      await until('all was read again', async () => JSON.stringify(await checkpoints()) === end, 60_000, 100);
      const after = await rows();
      const changed = [...new Set([...before.keys(), ...after.keys()])].filter(
        (seller) => before.get(seller) !== after.get(seller),
      );
      if (changed.length === 0) return [];
      const some = changed.slice(0, 5).join(', ');
      return [
        {
          promise: 'I7',
          what: `${page}: applying all again wrote ${changed.length} rows, of sellers ${some}`,
        },
      ];
    }),
  );
  return findings.flat();
}

const WHERE_SOURCE_KEEPS = {
  seller: 'select count(*) from seller where clients::text like $1',
  seller_event: 'select count(*) from seller_event where change::text like $1',
  outbox: 'select count(*) from outbox where value like $1',
  idempotency_key: 'select count(*) from idempotency_key where outcome::text like $1',
};
const WHERE_VIEWS_KEEP = {
  top_clients: 'select count(*) from top_clients as held where held::text like $1',
  parked: 'select count(*) from parked where value like $1',
};

/** The source's own stores that have not confirmed an erasure. Watchers, which may be down, report those of pages. */
const NOT_CONFIRMED = `select distinct seller_id, store, open_because from erasure_store
  join erasure on id = erasure_id where confirmed_at is null and store = any ('{state,log,idempotency-keys,outbox}')`;

/**
 * I8: the content of erased sellers is in no table and on no page, and a tombstone is last on the topic. Checked after
 * the receipts say that the content is gone.
 */
export async function remembered(world: FaultWorld, erased: ReadonlyMap<number, string>): Promise<Finding[]> {
  const findings: Finding[] = [];
  const found = (what: string) => findings.push({ promise: 'I8', what });
  const open = async () =>
    (
      await world.source.query<{ seller_id: number; store: string; open_because: string | null }>(
        NOT_CONFIRMED,
      )
    ).rows;
  await until('the receipts are confirmed', async () => (await open()).length === 0).catch(() => {});
  for (const { seller_id, store, open_because } of await open()) {
    found(`${store} has not confirmed that seller ${seller_id} is erased: ${open_because}`);
  }
  for (const [seller, secret] of erased) {
    for (const [table, text] of Object.entries(WHERE_SOURCE_KEEPS)) {
      const { rows } = await world.source.query<{ count: number }>(text, [`%${secret}%`]);
      if (rows[0]!.count > 0) found(`${table} of the source still has what erased seller ${seller} told`);
    }
    for (const page of PAGES_UNDER_FAULT) {
      for (const [table, text] of Object.entries(WHERE_VIEWS_KEEP)) {
        const { rows } = await world.views[page].query<{ count: number }>(text, [`%${secret}%`]);
        if (rows[0]!.count > 0) found(`${table} of ${page} still has what erased seller ${seller} told`);
      }
    }
    const shown = await fetch(`${world.pageUrls['page-user']}/users/${seller}`, {
      signal: AbortSignal.timeout(5_000),
    }).then((answer) => answer.text());
    if (shown.includes(secret)) found(`the user page still shows what erased seller ${seller} told`);
  }
  // In each partition that ever had the seller: compaction works within a partition.
  const last = new Map<string, TopicMessage>();
  for (const message of await sentByTheRelay(world)) {
    last.set(`${message.partition}/${message.sellerId}`, message);
  }
  for (const { partition, sellerId, value } of last.values()) {
    if (erased.has(sellerId) && value !== null)
      found(`no tombstone stands last in partition ${partition} for seller ${sellerId}`);
  }
  return findings;
}

const CHECKER = fileURLToPath(new URL('linearizability/', import.meta.url));
const CACHE = fileURLToPath(new URL('../../.cache/linearizability/', import.meta.url));

/** I3, checked by porcupine. @param picture where to draw what is not linearizable */
export async function notLinearizable(
  history: string,
  picture: string,
  timeoutSeconds: number,
): Promise<{ findings: Finding[]; words: string }> {
  const run = promisify(execFile);
  const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/local/go/bin` };
  await mkdir(CACHE, { recursive: true });
  const program = join(CACHE, 'linearizability');
  await run('go', ['build', '-o', program, '.'], { cwd: CHECKER, env });
  const { stdout } = await run(program, [
    ...['-timeout', `${timeoutSeconds}s`, '-picture', picture],
    history,
  ]).catch((err: { code?: number; stdout?: string; stderr?: string }) => {
    if (!err.stdout) throw new Error(`the checker failed: ${err.stderr}`, { cause: err });
    return { stdout: err.stdout };
  });
  const verdict = JSON.parse(stdout) as {
    verdict: string;
    operations: number;
    open: number;
    sellers: number[];
  };
  const words = `${verdict.operations} operations, ${verdict.open} of unknown outcome: ${verdict.verdict}`;
  if (verdict.verdict === 'linearizable') return { findings: [], words };
  const of = verdict.sellers.length > 0 ? `, of sellers ${verdict.sellers.join(', ')} (${picture})` : '';
  return { findings: [{ promise: 'I3', what: `${words}${of}` }], words };
}
