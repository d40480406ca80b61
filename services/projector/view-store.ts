import type pg from 'pg';
import type { WrongRow } from '#contracts/repair.ts';
import { type Projection, rowDigest } from '#pages/projection.ts';
import { connect, type PoolSettings } from '#platform/postgres.ts';
import type { ParkedMessage, Place, Retried, Superseding } from './parked.ts';
import * as parking from './parked.ts';
import { isNotifyQueueFull } from './row-fault.ts';

/** A change that a page may show from now on, and the trace it came with. */
export interface TracedChange {
  readonly sellerId: number;
  readonly version: number;
  readonly traceparent: string;
}

/** How far a partition has got. */
export interface Checkpoint {
  readonly partition: number;
  /** The value this process knows to be stored. */
  readonly known: number;
  readonly next: number;
  /** Commit time, at the source, of the newest event applied; null when none was. */
  readonly committedAt: string | null;
}

/**
 * A page's database as the projector uses it: two connections, which live and die together. Rows go through one that
 * does not wait for the disk; whatever must survive a crash goes through the other, whose commits flush the log of
 * the whole server and with it every row that was written before.
 */
export interface ViewStore {
  /** Aborted, with the reason, when a connection is lost. Rows of the last moments may be lost then. */
  readonly lost: AbortSignal;
  /** Writes rows of distinct sellers, each where it is newer. @returns how many changed */
  upsert(rows: readonly unknown[]): Promise<number>;
  /**
   * Takes a seller's row away where it is one of the wrong ones to the last byte, and writes the given row, as `upsert`
   * does: in one transaction, so that nobody sees the seller without a row in between.
   * @param row null when there shall be none
   * @returns whether anything changed
   */
  replace(sellerId: number, wrong: readonly WrongRow[], row: unknown): Promise<boolean>;
  /** How many of these sellers stand at exactly this version. */
  countAtVersion(events: ReadonlyArray<{ sellerId: number; version: number }>): Promise<number>;
  /** Notes, beside the rows, which trace each change came with; forgets notes older than `keepMs`. */
  noteTraces(changes: readonly TracedChange[], keepMs: number): Promise<void>;
  /** Where each partition begins; 0 where the view has not seen it. */
  loadCheckpoints(partitions: readonly number[]): Promise<Map<number, number>>;
  /** Begins a partition anew, whatever was stored. */
  resetCheckpoint(partition: number, next: number): Promise<void>;
  /**
   * Stores how far the view is, and flushes it. Only forward, and not over a value that someone reset meanwhile.
   * @returns what was stored before; a partition without an entry has been reset
   */
  checkpoint(progress: readonly Checkpoint[]): Promise<Map<number, number>>;
  /**
   * Keeps messages that could not be applied, the newest of each seller.
   * @returns where those stand that it kept: not those that the view is beyond
   */
  park(messages: readonly ParkedMessage[]): Promise<readonly Place[]>;
  /** Forgets parked messages of these sellers that are older than what was just applied. */
  supersede(applied: readonly Superseding[]): Promise<void>;
  /** Sellers with a parked message in any partition; a message whose seller is unknown counts as one (null). */
  parkedSellers(): Promise<Array<number | null>>;
  /**
   * Tries parked messages of these partitions again which are due, a bounded number, on a session of its own.
   * @param anew those of the partitions of which everything is due
   */
  retryParked(partitions: readonly number[], anew: readonly number[]): Promise<readonly Retried[]>;
  /** Whether rows are written without telling page servers. */
  readonly isMuted: boolean;
  /** Writes rows without telling page servers from now on: their queue is full, and no write shall wait for that. */
  mute(): Promise<void>;
  /** Tells page servers again, first that anything may have changed. @returns false while the queue has no room */
  unmute(): Promise<boolean>;
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** @throws what `pg` throws when the database cannot be reached */
export async function openViewStore(
  settings: Omit<PoolSettings, 'maximum'>,
  projection: Projection,
): Promise<ViewStore> {
  const lost = new AbortController();
  const onLost = (err: Error) => lost.abort(err);
  const open = new Set<pg.Client>();
  const join = async () => {
    const client = await connect({ ...settings, pipeline: true }, onLost);
    client.on('end', () => onLost(new Error('the database ended the connection')));
    open.add(client);
    return client;
  };
  const close = async () => {
    await Promise.all([...open].map((client) => client.end().catch(() => {})));
  };
  try {
    const rows = await join();
    const control = await join();
    await rows.query('set synchronous_commit = off');
    // Its end is nobody's loss: its queries reject, which is how the retry learns of it.
    const withSession = async <T>(work: (session: pg.Client) => Promise<T>): Promise<T> => {
      const session = await connect(settings, () => {});
      open.add(session);
      try {
        return await work(session);
      } finally {
        open.delete(session);
        await session.end().catch(() => {});
      }
    };
    return Object.assign(notifications(rows), {
      lost: lost.signal,
      close,
      ...statements(rows, control, projection),
      retryParked: retries(control, withSession, projection, lost.signal),
    });
  } catch (err) {
    void close();
    throw err;
  }
}

const REMOVE_WRONG_ROW = {
  name: 'remove-wrong-row',
  text: `delete from top_clients as held
    where seller_id = $1 and version = $2 and ${rowDigest('held')} = $3::bigint`,
};

function statements(rows: pg.Client, control: pg.Client, projection: Projection) {
  return {
    upsert: (values) => projection.upsert(rows, values),

    async replace(sellerId, wrong, row) {
      // Sent at once: a statement of somebody else in between would fall into this transaction.
      const steps = [
        rows.query('begin'),
        ...wrong.map(({ version, digest }) =>
          rows.query({ ...REMOVE_WRONG_ROW, values: [sellerId, version, digest] }),
        ),
        ...(row === null ? [] : [projection.upsert(rows, [row])]),
        rows.query('commit'),
      ];
      const done = await Promise.all(steps);
      return done.slice(1, -1).some((one) => (typeof one === 'number' ? one : (one.rowCount ?? 0)) > 0);
    },

    async countAtVersion(events) {
      const { rows: counted } = await rows.query<{ standing: number }>({
        name: 'count-at-version',
        text: `select count(*) as standing
          from unnest($1::bigint[], $2::bigint[]) as event (seller_id, version)
          join top_clients using (seller_id, version)`,
        values: [events.map(({ sellerId }) => sellerId), events.map(({ version }) => version)],
      });
      return counted[0]!.standing;
    },

    async noteTraces(changes, keepMs) {
      // After the rows of the change on their connection, so that nobody looks for what is not there yet.
      await rows.query({
        name: 'note-traces',
        text: `with pruned as (
            delete from trace where noted_at < now() - $4 * interval '1 ms' and seller_id <> all ($1::bigint[]))
          insert into trace as noted (seller_id, version, traceparent)
          select * from unnest($1::bigint[], $2::bigint[], $3::text[])
          on conflict (seller_id) do update
            set version = excluded.version, traceparent = excluded.traceparent, noted_at = excluded.noted_at
            where noted.version < excluded.version`,
        values: [
          changes.map((one) => one.sellerId),
          changes.map((one) => one.version),
          changes.map((one) => one.traceparent),
          keepMs,
        ],
      });
    },

    async loadCheckpoints(partitions) {
      // An entry from the start on, so that a later look can tell a reset from a beginning.
      const { rows: stored } = await control.query<{ partition: number; next_offset: number }>(
        `with created as (
          insert into checkpoint (partition, next_offset)
          select partition, 0 from unnest($1::integer[]) partition
          on conflict (partition) do nothing)
        select partition, next_offset from checkpoint where partition = any ($1::integer[])`,
        [partitions],
      );
      return new Map([
        ...partitions.map((partition) => [partition, 0] as const),
        ...stored.map((row) => [row.partition, row.next_offset] as const),
      ]);
    },

    async resetCheckpoint(partition, next) {
      await control.query(
        `insert into checkpoint (partition, next_offset) values ($1, $2)
        on conflict (partition) do update
          set next_offset = excluded.next_offset, committed_at = null, updated_at = now()`,
        [partition, next],
      );
    },

    async checkpoint(progress) {
      const { rows: stored } = await control.query<{ partition: number; next_offset: number }>({
        name: 'checkpoint',
        text: `with moved as (
          update checkpoint stored
          set next_offset = progress.next_offset, updated_at = now(),
            committed_at = coalesce(progress.committed_at, stored.committed_at)
          from unnest($1::integer[], $2::bigint[], $3::bigint[], $4::timestamptz[])
            as progress (partition, known, next_offset, committed_at)
          where stored.partition = progress.partition
            and stored.next_offset >= progress.known and stored.next_offset < progress.next_offset)
        select partition, next_offset from checkpoint where partition = any ($1::integer[])`,
        values: [
          progress.map((one) => one.partition),
          progress.map((one) => one.known),
          progress.map((one) => one.next),
          progress.map((one) => one.committedAt),
        ],
      });
      return new Map(stored.map((row) => [row.partition, row.next_offset]));
    },

    park: (messages) => parking.park(control, messages),
    supersede: (applied) => parking.supersede(control, applied),
    parkedSellers: () => parking.parkedSellers(control),

    async ping() {
      await control.query('select 1');
    },
  } satisfies Omit<ViewStore, 'lost' | 'close' | 'retryParked' | 'isMuted' | 'mute' | 'unmute'>;
}

/** Retried in a call, at most. */
const RETRIES_AT_A_TIME = 200;

/** Retries decide between statements, which would hold up whatever else goes through a session. */
function retries(
  control: pg.Client,
  withSession: <T>(work: (session: pg.Client) => Promise<T>) => Promise<T>,
  projection: Projection,
  lost: AbortSignal,
): ViewStore['retryParked'] {
  return async (partitions, anew) => {
    if (anew.length > 0) await parking.makeDue(control, anew);
    if (!(await parking.isAnyDue(control, partitions))) return [];
    const selection = { partitions, dueOnly: true, limit: RETRIES_AT_A_TIME };
    return withSession((session) => parking.retryParked(session, projection, selection, lost));
  };
}

/** Of the session that writes rows, whose triggers look at the setting. */
function notifications(rows: pg.Client): Pick<ViewStore, 'isMuted' | 'mute' | 'unmute'> {
  let isMuted = false;
  let mutings = 0;
  return {
    get isMuted() {
      return isMuted;
    },

    async mute() {
      isMuted = true;
      mutings += 1;
      await rows.query('set top_clients.notify = off');
    },

    async unmute() {
      const before = mutings;
      try {
        // All at once, or not at all: what the servers were not told of, the star makes good.
        const { rowCount } = await rows.query(
          `select set_config('top_clients.notify', 'on', false), pg_notify(current_schema(), '*')
          where pg_notification_queue_usage() < 0.5`,
        );
        if (rowCount === 1 && before === mutings) isMuted = false;
      } catch (err) {
        if (!isNotifyQueueFull(err)) throw err;
      }
      return !isMuted;
    },
  };
}
