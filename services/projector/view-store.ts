import type pg from 'pg';
import type { WrongRow } from '#contracts/repair.ts';
import { type Projection, rowDigest } from '#pages/projection.ts';
import { connect, type PoolSettings, SharedSession } from '#platform/postgres.ts';
import type { ParkedMessage, Place, Retried, Superseding } from './parked.ts';
import * as parking from './parked.ts';
import { isNotifyQueueFull } from './row-fault.ts';
import { Copying, RowWriter } from './row-writer.ts';

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

/** Who keeps this view up to date: sessions of the page's database, by the process id of their backends. */
export interface Ownership {
  readonly me: number;
  /** Everybody who has joined, this session too once it has. */
  readonly members: readonly number[];
  /** Which session owns which partition; a partition that is not here is free. */
  readonly owners: ReadonlyMap<number, number>;
}

/** Thrown when this session does not own partitions that it took: another pool or session answers in its place. */
export class OwnershipLost extends Error {
  override name = 'OwnershipLost';
  readonly partitions: readonly number[];

  constructor(partitions: readonly number[]) {
    super(`the session of the database does not own partitions ${partitions.join(', ')} any more`);
    this.partitions = partitions;
  }
}

/**
 * A page's database as the projector uses it: two connections, which live and die together. Rows go through one that
 * does not wait for the disk; whatever must survive a crash goes through the other, whose commits flush the log of
 * the whole server and with it every row that was written before.
 */
export interface ViewStore {
  /** Aborted, with the reason, when a connection is lost. Rows of the last moments may be lost then. */
  readonly lost: AbortSignal;
  /** Whether rows are copied at present, at least a first time: the more at once, the less each of them costs. */
  isCopying(): boolean;
  /** Writes rows of distinct sellers, each where it is newer. @returns how many changed */
  upsert(rows: readonly unknown[]): Promise<number>;
  /**
   * Deletes a seller's row if it is one of the wrong ones to the last byte, and writes the given row, as `upsert` does.
   * Both happen in one transaction, so that nobody sees the seller without a row in between.
   * @param row null when there shall be none
   * @returns whether anything changed
   */
  replace(sellerId: number, wrong: readonly WrongRow[], row: unknown): Promise<boolean>;
  /** How many of these sellers stand at exactly this version. */
  countAtVersion(events: ReadonlyArray<{ sellerId: number; version: number }>): Promise<number>;
  /** Notes, beside the rows, which trace each change came with; forgets notes older than `keepMs`. */
  noteTraces(changes: readonly TracedChange[], keepMs: number): Promise<void>;
  /** Becomes a member: others leave it a share of the partitions from then on. */
  join(): Promise<void>;
  /** Who is there, and who owns what, at this moment. */
  ownership(): Promise<Ownership>;
  /**
   * Takes those of the partitions that nobody owns, and does not wait for the others. They are owned until they are
   * disowned or the session ends, however it ends.
   * @returns those that this session owns now
   */
  tryOwn(partitions: readonly number[]): Promise<readonly number[]>;
  disown(partitions: readonly number[]): Promise<void>;
  /**
   * Makes the checkpoints offsets of this topic. If they were of another topic, every partition begins anew. The rows
   * of the view stay: they are older or equal.
   * @returns whether they were of another topic
   */
  adoptTopic(id: string): Promise<boolean>;
  /** Where each partition begins; 0 where the view has not seen it. */
  loadCheckpoints(partitions: readonly number[]): Promise<Map<number, number>>;
  /** Begins a partition anew, whatever was stored. @throws OwnershipLost when this session does not own it */
  resetCheckpoint(partition: number, next: number): Promise<void>;
  /**
   * Stores how far the view is, and flushes it. Only forward, not over a value that someone reset meanwhile, and only
   * what this session owns.
   * @returns what was stored before; a partition without an entry has been reset
   * @throws OwnershipLost when this session does not own one of them; the others are stored
   */
  checkpoint(progress: readonly Checkpoint[]): Promise<Map<number, number>>;
  /**
   * Parks messages that could not be applied, the newest of each seller.
   * @returns the places of those that were kept; those that the view is beyond are not
   */
  park(messages: readonly ParkedMessage[]): Promise<readonly Place[]>;
  /** Forgets parked messages of these sellers that are older than what was just applied. */
  supersede(applied: readonly Superseding[]): Promise<void>;
  /** Sellers with a parked message in any partition; a message whose seller is unknown counts as one (null). */
  parkedSellers(): Promise<Array<number | null>>;
  /**
   * Tries the due parked messages of these partitions again, a bounded number, on a session of its own.
   * @param anew those of the partitions of which all messages are due
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

const WHO = 'a projector';

/**
 * @param sessionTimeoutMs after this long without a statement the database ends the session, and with it what it owns
 * @param copying the same for all sessions of a process, which it outlives
 * @throws SharedSession behind a pooler that does not keep a session for each connection
 * @throws what `pg` throws when the database cannot be reached
 */
export async function openViewStore(
  settings: Omit<PoolSettings, 'maximum'>,
  projection: Projection,
  sessionTimeoutMs = 6_000,
  copying = new Copying(),
): Promise<ViewStore> {
  const lost = new AbortController();
  const onLost = (err: Error) => lost.abort(err);
  const open = new Set<pg.Client>();
  const openOne = async () => {
    const client = await connect({ ...settings, pipeline: true, primaryOnly: true }, onLost);
    client.on('end', () => onLost(new Error('the database ended the connection')));
    open.add(client);
    return client;
  };
  const close = async () => {
    await Promise.all([...open].map((client) => client.end().catch(() => {})));
  };
  try {
    const rows = await openOne();
    const control = await openOne();
    const session = await sessionOfItsOwn(rows, control);
    await rows.query('set synchronous_commit = off');
    const endsByItself = await endSoonWhenSilent(control, sessionTimeoutMs);
    // The loss of this session does not abort `lost`: its queries reject, which fails the retry.
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
      ...statements(rows, control, session, projection, endsByItself ? null : sessionTimeoutMs, copying),
      retryParked: retries(control, withSession, projection, lost.signal),
    });
  } catch (err) {
    void close();
    throw err;
  }
}

/** A session of the database, and the first key of the locks by which sessions own partitions of its view. */
interface Session {
  readonly backend: number;
  readonly lockClass: number;
}

/** Second key of the lock that every member shares; partitions are not below 0. */
const MEMBER = -1;

/** The two keys of an advisory lock as `pg_locks` shows them: numbers without a sign, `objsubid` 2. */
const HELD_LOCKS = `select pid, objid::bigint as key from pg_locks
  where locktype = 'advisory' and granted and objsubid = 2 and classid::bigint = $1::bigint & 4294967295
    and database = (select oid from pg_database where datname = current_database())`;

/** @throws SharedSession where the connections are not a session each */
async function sessionOfItsOwn(rows: pg.Client, control: pg.Client): Promise<Session> {
  const ask = async (client: pg.Client) => {
    const { rows: answers } = await client.query<Session>(
      `select pg_backend_pid() as backend, hashtext('projectors of ' || current_schema()) as "lockClass"`,
    );
    return answers[0]!;
  };
  const session = await ask(control);
  // `connect` has checked this. But a pooler may be told to share at any time, or its pool was busy at that check.
  for (let turn = 0; turn < 3; turn++) {
    if ((await ask(rows)).backend === session.backend)
      throw new SharedSession('two connections are one session', WHO);
    if ((await ask(control)).backend !== session.backend)
      throw new SharedSession('a connection changed its session', WHO);
  }
  const { rows: held } = await control.query(
    `select from (${HELD_LOCKS}) lock where pid = pg_backend_pid()`,
    [session.lockClass],
  );
  if (held.length > 0) throw new SharedSession('somebody else owns partitions by this session', WHO);
  return session;
}

/** What a server says of a setting that its system lacks, and of one that only later versions have. */
const NOT_THERE = new Set<unknown>(['22023', '42704']);

/**
 * Makes the database end a session soon if its process is gone or unreachable, and so free what it owns.
 * @returns whether it ends a session whose process stands still: PostgreSQL 13 does not, so other members must
 */
async function endSoonWhenSilent(control: pg.Client, sessionTimeoutMs: number): Promise<boolean> {
  const isSet = async (setting: string): Promise<boolean> => {
    try {
      await control.query(`set ${setting}`);
      return true;
    } catch (err) {
      if (!NOT_THERE.has((err as { code?: unknown }).code)) throw err;
      return false;
    }
  };
  for (const setting of [
    // While a statement runs, a session is not idle. Where this is not there, statements end by their timeout.
    `client_connection_check_interval = ${sessionTimeoutMs}`,
    'tcp_keepalives_idle = 3',
    'tcp_keepalives_interval = 1',
    'tcp_keepalives_count = 3',
  ])
    await isSet(setting);
  return isSet(`idle_session_timeout = ${sessionTimeoutMs}`);
}

/** Ends other sessions of the group that have been silent for longer than $2, in ms. */
const END_SILENT = {
  name: 'end-silent-sessions',
  text: `select pg_terminate_backend(pid) from pg_stat_activity
    where pid in (select pid from (${HELD_LOCKS}) lock) and pid <> pg_backend_pid()
      and state = 'idle' and state_change < clock_timestamp() - $2 * interval '1 ms'`,
};

const REMOVE_WRONG_ROW = {
  name: 'remove-wrong-row',
  text: `delete from top_clients as held
    where seller_id = $1 and version = $2 and ${rowDigest('held')} = $3::bigint`,
};

/** @param endSilentMs after how long other members' silent sessions are ended; null: the database does it */
function statements(
  rows: pg.Client,
  control: pg.Client,
  session: Session,
  projection: Projection,
  endSilentMs: number | null,
  copying: Copying,
) {
  const writer = new RowWriter(rows, projection, copying);
  return {
    isCopying: () => copying.isOn,

    upsert: (values) => writer.write(values),

    async replace(sellerId, wrong, row) {
      // Sent at once: another caller's statement in between would fall into this transaction.
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
      // Sent after the rows on the same connection, so that no note is there before its row.
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

    async join() {
      await control.query('select pg_try_advisory_lock_shared($1, $2)', [session.lockClass, MEMBER]);
    },

    async ownership() {
      if (endSilentMs !== null)
        await control.query({ ...END_SILENT, values: [session.lockClass, endSilentMs] });
      const { rows: held } = await control.query<{ me: number; pid: number | null; key: number | null }>({
        name: 'ownership',
        text: `select pg_backend_pid() as me, pid, key from (select) one left join (${HELD_LOCKS}) lock on true`,
        values: [session.lockClass],
      });
      const me = held[0]!.me;
      if (me !== session.backend) throw new SharedSession('a connection changed its session', WHO);
      const members: number[] = [];
      const owners = new Map<number, number>();
      for (const { pid, key } of held) {
        if (pid === null || key === null) continue;
        if (key === MEMBER >>> 0) members.push(pid);
        else owners.set(key, pid);
      }
      return { me, members, owners };
    },

    async tryOwn(partitions) {
      const { rows: taken } = await control.query<{ partition: number }>({
        name: 'own-partitions',
        // `materialized` makes the function run once for each partition, before the filter looks at its answer.
        text: `with taken as materialized (
          select partition, pg_try_advisory_lock($1, partition) as got from unnest($2::integer[]) partition)
        select partition from taken where got`,
        values: [session.lockClass, partitions],
      });
      return taken.map(({ partition }) => partition);
    },

    async disown(partitions) {
      await control.query({
        name: 'disown-partitions',
        text: 'select pg_advisory_unlock($1, partition) from unnest($2::integer[]) partition',
        values: [session.lockClass, partitions],
      });
    },

    async adoptTopic(id) {
      const { rows: adopted } = await control.query<{ was_another: boolean }>({
        name: 'adopt-topic',
        text: `with before as (select from topic where id <> $1::uuid),
          adopted as (
            insert into topic (id) values ($1::uuid)
            on conflict (the_one) do update set id = excluded.id, adopted_at = now() where topic.id <> excluded.id
            returning id),
          -- Who adopts it at the same time, and later, has changed nothing.
          another as (select from before, adopted),
          reset as (
            update checkpoint set next_offset = 0, committed_at = null, updated_at = now()
            where exists (select from another))
        select exists (select from another) as was_another`,
        values: [id],
      });
      return adopted[0]!.was_another;
    },

    async loadCheckpoints(partitions) {
      // Every partition has an entry from the start, so that a later look can tell a reset from a beginning.
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
      const { rowCount } = await control.query(
        `with owned as materialized (
          select from (${HELD_LOCKS}) lock where pid = pg_backend_pid() and key = $2::bigint)
        insert into checkpoint (partition, next_offset) select $2::integer, $3::bigint from owned
        on conflict (partition) do update
          set next_offset = excluded.next_offset, committed_at = null, updated_at = now()`,
        [session.lockClass, partition, next],
      );
      if (rowCount === 0) throw new OwnershipLost([partition]);
    },

    async checkpoint(progress) {
      const { rows: stored } = await control.query<{
        partition: number;
        owned: boolean;
        next_offset: number | null;
      }>({
        name: 'checkpoint',
        // Only this session can release its locks: what it holds when the statement begins, it holds until the end.
        text: `with owned as materialized (
          select key::integer as partition from (${HELD_LOCKS}) lock
          where pid = pg_backend_pid() and key < 2147483648),
        moved as (
          update checkpoint stored
          set next_offset = progress.next_offset, updated_at = now(),
            committed_at = coalesce(progress.committed_at, stored.committed_at)
          from unnest($2::integer[], $3::bigint[], $4::bigint[], $5::timestamptz[])
            as progress (partition, known, next_offset, committed_at)
          where stored.partition = progress.partition and stored.partition in (select partition from owned)
            and stored.next_offset >= progress.known and stored.next_offset < progress.next_offset)
        select partition, owned.partition is not null as owned, stored.next_offset
        from unnest($2::integer[]) asked (partition)
        left join owned using (partition) left join checkpoint stored using (partition)`,
        values: [
          session.lockClass,
          progress.map((one) => one.partition),
          progress.map((one) => one.known),
          progress.map((one) => one.next),
          progress.map((one) => one.committedAt),
        ],
      });
      const lost = stored.filter(({ owned }) => !owned);
      if (lost.length > 0) throw new OwnershipLost(lost.map(({ partition }) => partition));
      return new Map(
        stored.flatMap(({ partition, next_offset }) =>
          next_offset === null ? [] : [[partition, next_offset] as const],
        ),
      );
    },

    park: (messages) => parking.park(control, messages),
    supersede: (applied) => parking.supersede(control, applied),
    parkedSellers: () => parking.parkedSellers(control),

    async ping() {
      await control.query('select 1');
    },
  } satisfies Omit<ViewStore, 'lost' | 'close' | 'retryParked' | 'isMuted' | 'mute' | 'unmute'>;
}

/** Parked messages that are retried in one call, at most. */
const RETRIES_AT_A_TIME = 200;

/** A retry decides between its statements. It has its own session, so that no other statement waits for it. */
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

/** Switches the notifications of the session that writes rows, whose triggers look at the setting. */
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
        // Both happen or neither. The star makes up for all notifications that were left out.
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
