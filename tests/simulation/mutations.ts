/**
 * Faults put back into the code, to see that the simulator finds them: its workers run from a copy of the sources with
 * a few changed lines. Where the product's own logic is an SQL statement, the line is in the simulated store.
 */
import { cp, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Patch, patched } from '../faults/mutations.ts';
import type { Promised } from './judge.ts';

export interface Mutation {
  readonly name: string;
  readonly about: string;
  /** Promises, at least one of which must be found broken. */
  readonly breaks: readonly Promised[];
  readonly patches: readonly Patch[];
}

const PROJECTOR = 'services/projector/projector.ts';
const MEMBERSHIP = 'services/projector/membership.ts';
const APPLIER = 'services/projector/applier.ts';
const NEWEST = 'services/projector/latest-per-key.ts';
const OUTBOX = 'services/top-clients/adapters/postgres/outbox.ts';
const SIM_VIEW = 'tests/simulation/sim-view-database.ts';
const SIM_SOURCE = 'tests/simulation/sim-source.ts';

const UNSEEN: readonly Promised[] = [
  'view equals source',
  'nothing erased returns',
  'nothing waits for ever',
];

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'not-fetched-after-recovery',
    about: 'after a recovery the bus still asks the membership that is over, which wants nothing',
    breaks: ['nothing waits for ever'],
    patches: [
      {
        file: PROJECTOR,
        find: 'this.#distrust(reason);\n        this.#membership = null;',
        replace: 'this.#distrust(reason);',
      },
      {
        file: PROJECTOR,
        find: 'this.#membership = membership;',
        replace: 'this.#membership ??= membership;',
      },
    ],
  },
  {
    name: 'ignore-tombstones',
    about: 'the tombstone of an erasure changes nothing',
    breaks: ['nothing erased returns', 'repairs only what is wrong'],
    patches: [
      {
        file: NEWEST,
        find: "if (decode(one, type).kind !== 'event') {",
        replace: 'if (type !== null) {',
      },
    ],
  },
  {
    name: 'full-queue-parks',
    about: 'a full queue of notifications counts as the fault of the row, and nothing parked is tried again',
    breaks: UNSEEN,
    patches: [
      {
        file: 'services/projector/row-fault.ts',
        find: 'if (code === LIMIT_EXCEEDED) return !OF_THE_SERVER.has(String(file));',
        replace: 'if (code === LIMIT_EXCEEDED) return file !== null;',
      },
      {
        file: APPLIER,
        find: 'if (this.#ended || !isNotifyQueueFull(err)) throw err;\n      const wasMuted',
        replace: 'if (this.#ended || isNotifyQueueFull(err)) throw err;\n      const wasMuted',
      },
      {
        file: 'services/projector/parked-retries.ts',
        find: 'if (this.#isUnderWay || partitions.length === 0',
        replace: 'if (partitions.length >= 0',
      },
    ],
  },
  {
    name: 'no-retry-of-parked',
    about: 'what was parked waits for a person',
    breaks: ['nothing waits for ever'],
    patches: [
      {
        file: 'services/projector/parked-retries.ts',
        find: 'if (this.#isUnderWay || partitions.length === 0',
        replace: 'if (partitions.length >= 0',
      },
    ],
  },
  {
    name: 'cache-by-version',
    about: 'a page takes a list of the same version for the same list',
    breaks: ['page shows the view'],
    patches: [
      {
        file: 'tests/simulation/page-role.ts',
        find: 'const digest = String(digestOf(row));',
        replace: 'const digest = String(row.version);',
      },
      {
        file: 'services/pages/list-cache.ts',
        find: 'if (this.#feed.isInvalidated(known.sellerId, known.askedAt)) {',
        replace: 'if (known.sellerId < 0) {',
      },
    ],
  },
  {
    name: 'cache-without-ttl',
    about: 'a page believes that it is told of every change',
    breaks: ['page shows the view'],
    patches: [
      {
        file: 'services/pages/list-cache.ts',
        find: 'this.now() - askedAt < CACHE_TTL_MS &&',
        replace: 'this.now() >= askedAt &&',
      },
    ],
  },
  {
    name: 'cache-confirms-what-changed',
    about: 'a page that asks ahead of the TTL whether its lists are right does not mind the answer',
    breaks: ['page shows the view'],
    patches: [
      {
        file: 'services/pages/list-cache.ts',
        find: 'changedAt.has(i) ? Number.NEGATIVE_INFINITY : askedAt',
        replace: 'askedAt',
      },
    ],
  },
  {
    name: 'empty-batch-moves',
    about: 'a batch without messages moves the position, whatever was asked for meanwhile',
    breaks: UNSEEN,
    patches: [
      {
        file: MEMBERSHIP,
        find: 'if (this.applier.handedOver(partition) !== from) return;',
        replace: 'if (messages.length > 0 && this.applier.handedOver(partition) !== from) return;',
      },
    ],
  },
  {
    name: 'repairs-among-others',
    about: 'halves of a refused chunk go behind later chunks with repairs',
    breaks: [...UNSEEN, 'view never goes back', 'repairs only what is wrong'],
    patches: [
      {
        file: APPLIER,
        find: 'const hasRepairs = parts.some(({ repairs }) => repairs.length > 0);',
        replace: 'const hasRepairs = parts.length < 0;',
      },
    ],
  },
  {
    name: 'watcher-reads-stable-end',
    about: 'the watcher takes the last stable offset for the end of the topic',
    breaks: ['repairs only what is wrong'],
    patches: [
      {
        file: 'tests/simulation/watcher-role.ts',
        find: 'next: log.end',
        replace: 'next: log.next',
      },
    ],
  },
  {
    name: 'drop-version-guard',
    about: 'a view takes whatever comes',
    breaks: ['view never goes back'],
    patches: [
      {
        file: SIM_VIEW,
        find: 'return held === undefined || held.version < row.version;',
        replace: 'return held === undefined || held.version !== row.version;',
      },
    ],
  },
  {
    name: 'apply-equal-again',
    about: 'an event that was applied is applied again',
    breaks: ['view never goes back'],
    patches: [
      {
        file: SIM_VIEW,
        find: 'return held === undefined || held.version < row.version;',
        replace: 'return held === undefined || held.version <= row.version;',
      },
    ],
  },
  {
    name: 'no-tombstone-row',
    about: 'a view forgets the version of a seller without clients',
    breaks: ['view never goes back', ...UNSEEN],
    patches: [
      {
        file: SIM_VIEW,
        find: 'for (const row of changed) this.#set(row.sellerId, row, cause);',
        replace:
          "for (const row of changed) this.#set(row.sellerId, row.clients === '[]' ? null : row, cause);",
      },
    ],
  },
  {
    name: 'id-cursor',
    about: 'the relay goes on after the highest id it has seen',
    breaks: ['nothing waits for ever', 'view equals source', 'order on the topic'],
    patches: [
      { file: OUTBOX, find: '  let below: Below =', replace: '  let cursor = 0;\n  let below: Below =' },
      {
        file: OUTBOX,
        find: 'ackAndFetchRows(db, shard, request, look.from);',
        replace: 'ackAndFetchRows(db, shard, request, Math.max(look.from, cursor + 1));',
      },
      {
        file: OUTBOX,
        find: 'const rows = await taken;',
        replace: 'const rows = await taken;\n      for (const { id } of rows) cursor = Math.max(cursor, id);',
      },
    ],
  },
  {
    name: 'floor-before-commits',
    about: 'the relay looks no more below an id under which transactions are still open',
    breaks: ['nothing waits for ever', 'view equals source', 'order on the topic'],
    patches: [
      {
        file: 'services/platform/id-floor.ts',
        find: 'if (holding.size === 0) this.#upTo',
        replace: 'if (holding.size >= 0) this.#upTo',
      },
    ],
  },
  {
    name: 'no-markers',
    about: 'a topic grows, and nothing tells the old partition who has left it',
    breaks: ['nothing erased returns'],
    patches: [
      {
        file: SIM_SOURCE,
        find: '...state, movedOf(locked, partitionOf(String(sellerId), from))]',
        replace: '...state]',
      },
    ],
  },
  {
    name: 'markers-erase',
    about: 'a projector takes the marker of a seller who moved for an erasure',
    breaks: ['view never goes back', 'view equals source', 'repairs only what is wrong'],
    patches: [
      {
        file: NEWEST,
        find: 'if (type === MOVED_TYPE) {\n        moved += 1;\n        continue;\n      }',
        replace:
          "if (type === MOVED_TYPE) {\n        moved += 1;\n        const sellerId = Number(seller);\n        const version = Number(header(one.message, 'ce_id')?.split('/')[1]) + 1;\n        const event = { sellerId, version, committedAt: new Date(0).toISOString(), change: { type: 'seller-erased' as const }, clients: [] };\n        events.push({ ...one, event });\n        continue;\n      }",
      },
    ],
  },
  {
    name: 'skip-outbox',
    about: 'one change in twenty is not written to the outbox',
    breaks: ['view equals source', 'nothing erased returns'],
    patches: [
      {
        file: SIM_SOURCE,
        find: 'for (const row of rows) this.outbox.set(row.id, row);',
        replace: 'for (const row of rows) if (row.id % 20 !== 0) this.outbox.set(row.id, row);',
      },
    ],
  },
  {
    name: 'acknowledge-before-send',
    about: 'the relay deletes what Kafka may not have yet',
    breaks: ['no write is lost'],
    patches: [
      {
        file: 'tests/simulation/sim-publisher.ts',
        find: 'async send(batch) {',
        replace:
          'async send(batch) { void this.sent(batch).catch(() => {}); }, async sent(batch: readonly Message[]) {',
      },
    ],
  },
  {
    name: 'zombie-sends',
    about: 'a relay sends what it was about to, whether it still leads or not',
    breaks: ['order on the topic'],
    patches: [
      {
        file: 'tests/simulation/sim-publisher.ts',
        find: 'if (isCut || !fence.isHeld())',
        replace: 'if (fence === null)',
      },
    ],
  },
  {
    name: 'park-blocks',
    about: 'a projector waits at an event that it cannot apply',
    breaks: ['nothing waits for ever'],
    patches: [
      {
        file: APPLIER,
        find: 'const stale = unapplicable.length > 0 ? await this.#park(unapplicable) : 0;',
        replace: 'const stale = unapplicable.length > 0 ? await new Promise<number>(() => {}) : 0;',
      },
    ],
  },
  {
    name: 'checkpoint-before-rows',
    about: 'a projector counts what it has not written yet',
    breaks: UNSEEN,
    patches: [
      {
        file: APPLIER,
        find: 'for (const part of parts) written.push(',
        replace: 'this.#advance(chunk, []);\n    for (const part of parts) written.push(',
      },
    ],
  },
];

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/**
 * Copies the sources and changes them.
 * @returns the `worker.ts` that runs them
 */
export async function mutatedWorker(mutation: Mutation, folder: string): Promise<string> {
  for (const part of ['services', 'tests/simulation', 'tests/faults', 'package.json']) {
    await cp(join(ROOT, part), join(folder, part), { recursive: true });
  }
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  for (const patch of mutation.patches) {
    const file = join(folder, patch.file);
    await writeFile(file, patched(await readFile(file, 'utf8'), patch));
  }
  return join(folder, 'tests', 'simulation', 'worker.ts');
}
