import type { DatabaseServer, Session } from './database.ts';
import type { SimProcess } from './process.ts';

/** As in services/outbox-relay/lease.ts, but less often: each idle second costs events. */
const TRY_EVERY_MS = 900;
const RENEW_EVERY_MS = 1_000;
const LEASE_MS = 3_000;
/** The server ends a session that is idle for so long. */
export const SERVER_PATIENCE_MS = 5_000;
const LOCK = 'shard 0';

export interface SimLease {
  readonly lost: AbortSignal;
  /** Compares with the clock, because a process may sleep through its timers. */
  isHeld(): boolean;
  release(): Promise<void>;
}

/** Waits until this process leads. The lock is released with its session. @throws what the database throws */
export async function acquireSimLease(server: DatabaseServer, process: SimProcess): Promise<SimLease> {
  const { clock } = process;
  const lost = new AbortController();
  const session = await server.connect(process, (err) => lost.abort(err), 2_000);
  session.idleTimeoutMs = SERVER_PATIENCE_MS;
  try {
    for (;;) {
      if (lost.signal.aborted) throw lost.signal.reason;
      const askedAt = clock.monotonic();
      if (await session.query(() => tryLock(server, session))) return hold(session, lost, askedAt, process);
      await clock.pause(TRY_EVERY_MS);
    }
  } catch (err) {
    void session.end();
    throw err;
  }
}

function tryLock(server: DatabaseServer, session: Session): boolean {
  for (const other of server.sessions) if (other !== session && other.locks.has(LOCK)) return false;
  session.locks.add(LOCK);
  return true;
}

function hold(session: Session, lost: AbortController, since: number, { clock }: SimProcess): SimLease {
  let validUntil = since + LEASE_MS;
  const end = () => void session.end();
  const renew = async () => {
    while (!lost.signal.aborted) {
      await clock.pause(Math.min(RENEW_EVERY_MS, Math.max(1, validUntil - clock.monotonic())), lost.signal);
      if (lost.signal.aborted) return;
      if (clock.monotonic() >= validUntil)
        return lost.abort(new Error('no sign of life reached the database'));
      const askedAt = clock.monotonic();
      const answered = session.query(() => {});
      const late = clock.pause(validUntil - askedAt, lost.signal).then(() => 'late');
      if ((await Promise.race([answered, late])) === 'late') {
        answered.catch(() => {});
        return lost.abort(new Error('no sign of life reached the database'));
      }
      validUntil = askedAt + LEASE_MS;
    }
  };
  renew().catch((err) => lost.abort(err));
  lost.signal.addEventListener('abort', end);
  return {
    lost: lost.signal,
    isHeld: () => !lost.signal.aborted && clock.monotonic() < validUntil,
    async release() {
      lost.signal.removeEventListener('abort', end);
      await session.end();
      lost.abort(new Error('was released'));
    },
  };
}
