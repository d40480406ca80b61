import { Backoff } from '#platform/backoff.ts';
import { relayRows, type ShardObserver } from '../../services/outbox-relay/shard.ts';
import { openOutbox } from '../../services/top-clients/adapters/postgres/outbox.ts';
import { acquireSimLease } from './lease.ts';
import type { SimProcess } from './process.ts';
import { openSimPublisher } from './sim-publisher.ts';
import { sourceDatabase } from './source-statements.ts';
import type { Stage } from './stage.ts';

const NOTHING_OBSERVED: ShardObserver = {
  sent: () => {},
  sendFailed: () => {},
  blocked: () => {},
  held: () => {},
};
/** Less often than in production while nothing comes: each look costs events. */
const PACING = { shortestMs: 5, longestMs: 700, growth: 1.6 };
const STATEMENT_TIMEOUT_MS = 10_000;

/** A relay of one shard: term after term, as in services/outbox-relay/main.ts. */
export async function runRelay(world: Stage, process: SimProcess): Promise<void> {
  const { clock } = process;
  const log = world.logOf(process);
  const backoff = new Backoff({ firstMs: 100, longestMs: 1_000, random: null });
  for (;;) {
    try {
      await serveTerm(world, process);
    } catch (err) {
      log.warn({ err }, 'the term failed; trying again');
    }
    await clock.pause(backoff.next());
  }
}

async function serveTerm(world: Stage, process: SimProcess): Promise<void> {
  const { clock } = process;
  const log = world.logOf(process);
  const lease = await acquireSimLease(world.source.server, process);
  world.judge.note(process.name, () => 'leads');
  const ended = new AbortController();
  const publisher = openSimPublisher(world.topic, process, lease);
  lease.lost.addEventListener('abort', () => {
    publisher.end();
    ended.abort(lease.lost.reason);
  });
  try {
    const session = await world.source.server.connect(
      process,
      (err) => ended.abort(err),
      STATEMENT_TIMEOUT_MS,
    );
    try {
      await relayRows(
        openOutbox(sourceDatabase(world.source, session), { index: 0, of: 1 }, log, clock),
        publisher,
        NOTHING_OBSERVED,
        ended.signal,
        { isHeld: () => !ended.signal.aborted && lease.isHeld() },
        log,
        { prefetchFrom: 3, clock, pacing: PACING },
      );
    } finally {
      publisher.end();
      await session.end();
    }
  } finally {
    world.judge.note(process.name, () => 'leads no more');
    await lease.release();
  }
}
