import type { WrongRow } from '#contracts/repair.ts';
import type { FullListRow } from '../../services/pages/views/full-list.ts';
import type { Retried } from '../../services/projector/parked.ts';
import { OwnershipLost, type ViewStore } from '../../services/projector/view-store.ts';
import type { Session } from './database.ts';
import type { SimProcess } from './process.ts';
import type { SimViewDatabase } from './sim-view-database.ts';

const STATEMENT_TIMEOUT_MS = 10_000;
/** The database ends a session that is idle for so long, and frees what it owns. */
export const SESSION_TIMEOUT_MS = 6_000;
const ROWS = 'top_clients';

/** Like `openViewStore`: two sessions that live and end together; the control session holds the locks. */
export async function openSimViewStore(database: SimViewDatabase, process: SimProcess): Promise<ViewStore> {
  const lost = new AbortController();
  const onLost = (err: Error) => lost.abort(err);
  const rows = await database.server.connect(process, onLost, STATEMENT_TIMEOUT_MS);
  let control: Session;
  try {
    control = await database.server.connect(process, onLost, STATEMENT_TIMEOUT_MS);
  } catch (err) {
    void rows.end();
    throw err;
  }
  control.idleTimeoutMs = SESSION_TIMEOUT_MS;
  control.onEnd.push(() => database.freeOf(control.pid));
  const store = {
    lost: lost.signal,
    close: async () => {
      await Promise.all([rows.end(), control.end()]);
    },
    ...ownership(database, control),
    ...statementsOnControl(database, control),
    retryParked: retries(database, control, process, lost.signal),
  };
  // Not spread: `isMuted` must stay a getter.
  return Object.assign(statementsOnRows(database, rows), store);
}

/** A database holds the text, and not the message that it came in. */
const asStored = (row: FullListRow): FullListRow => ({ ...row, clients: String(row.clients) });

/** Whether the session's writes notify is a setting of the session, which is kept here for the triggers. */
function statementsOnRows(database: SimViewDatabase, session: Session) {
  let isMuted = false;
  let mutings = 0;
  let notifies = true;
  return {
    isCopying: () => false,
    upsert: (rows: readonly unknown[]) =>
      session.query(() => database.upsert((rows as FullListRow[]).map(asStored), !notifies), ROWS),
    replace: (sellerId: number, wrong: readonly WrongRow[], row: unknown) =>
      session.query(
        () =>
          database.replace(sellerId, wrong, row === null ? null : asStored(row as FullListRow), !notifies),
        ROWS,
      ),
    get isMuted() {
      return isMuted;
    },
    async mute() {
      isMuted = true;
      mutings += 1;
      await session.query(() => {
        notifies = false;
      });
    },
    async unmute() {
      const before = mutings;
      const hasRoom = await session.query(() => {
        if (database.isNotifyQueueFull) return false;
        notifies = true;
        database.notify('*');
        return true;
      });
      if (hasRoom && before === mutings) isMuted = false;
      return !isMuted;
    },
    countAtVersion: (events: ReadonlyArray<{ sellerId: number; version: number }>) =>
      session.query(
        () =>
          events.filter(({ sellerId, version }) => database.rows.get(sellerId)?.version === version).length,
        ROWS,
      ),
    noteTraces: async () => {},
  } satisfies Partial<ViewStore>;
}

const ownership = (database: SimViewDatabase, session: Session) =>
  ({
    join: () => session.query(() => void database.members.add(session.pid)),
    ownership: () =>
      session.query(() => ({
        me: session.pid,
        members: [...database.members],
        owners: new Map(database.owners),
      })),
    tryOwn: (partitions) =>
      session.query(() => {
        const owned = partitions.filter((partition) => {
          const owner = database.owners.get(partition);
          return owner === undefined || owner === session.pid;
        });
        for (const partition of owned) database.owners.set(partition, session.pid);
        return owned;
      }),
    disown: (partitions) =>
      session.query(() => {
        for (const partition of partitions) {
          if (database.owners.get(partition) === session.pid) database.owners.delete(partition);
        }
      }),
  }) satisfies Partial<ViewStore>;

const statementsOnControl = (database: SimViewDatabase, session: Session) =>
  ({
    // The simulated topic is never created again.
    adoptTopic: () => session.query(() => false),
    loadCheckpoints: (partitions) =>
      session.query(() => {
        for (const one of partitions) {
          if (!database.checkpoints.has(one)) database.checkpoints.set(one, 0);
        }
        database.flush();
        return new Map(partitions.map((one) => [one, database.checkpoints.get(one)!]));
      }),
    resetCheckpoint: (partition, next) =>
      session.query(() => {
        if (database.owners.get(partition) !== session.pid) throw new OwnershipLost([partition]);
        database.checkpoints.set(partition, next);
        database.flush();
      }),
    checkpoint: (progress) =>
      session.query(() => {
        const before = new Map<number, number>();
        const lost: number[] = [];
        for (const { partition, known, next } of progress) {
          const stored = database.checkpoints.get(partition);
          if (stored !== undefined) before.set(partition, stored);
          if (database.owners.get(partition) !== session.pid) lost.push(partition);
          else if (stored !== undefined && stored >= known && stored < next) {
            database.checkpoints.set(partition, next);
            database.witness.checkpointMoved(partition, stored, next);
          }
        }
        database.flush();
        if (lost.length > 0) throw new OwnershipLost(lost);
        return before;
      }),
    park: (messages) =>
      session.query(() => {
        const kept = database.parked.park(messages);
        database.flush();
        return kept;
      }),
    supersede: (applied) =>
      session.query(() => {
        database.parked.supersede(applied);
        database.flush();
      }),
    parkedSellers: () => session.query(() => database.parked.sellers()),
    ping: () => session.query(() => {}),
  }) satisfies Partial<ViewStore>;

/** Each retry is a transaction of its own on a session of its own, under the version guard. */
const retries =
  (
    database: SimViewDatabase,
    control: Session,
    process: SimProcess,
    lost: AbortSignal,
  ): ViewStore['retryParked'] =>
  async (partitions, anew) => {
    if (anew.length > 0) await control.query(() => database.parked.makeDue(anew));
    if (!(await control.query(() => database.parked.due(partitions).length > 0))) return [];
    const session = await database.server.connect(process, () => {}, STATEMENT_TIMEOUT_MS);
    try {
      const retried: Retried[] = [];
      for (const place of await session.query(() => database.parked.due(partitions))) {
        const one = await session.query(() => database.parked.retry(place, lost), ROWS);
        database.flush();
        if (one) retried.push(one);
      }
      return retried;
    } finally {
      await session.end();
    }
  };
