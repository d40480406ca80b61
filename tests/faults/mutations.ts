/**
 * Faults in the product's own code, to see that the checkers notice them: the roles run from a copy of the sources with
 * a few changed lines. The product has no code for this.
 */
import { cp, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PromiseName } from './findings.ts';

export interface Patch {
  readonly file: string;
  /** Must occur exactly once. */
  readonly find: string;
  readonly replace: string;
}

export interface Mutation {
  readonly name: string;
  readonly about: string;
  /** The faults that must reveal it, unless `FAULTS=` names others. */
  readonly faults: readonly string[];
  /** Promises, at least one of which must be found broken. */
  readonly breaks: readonly PromiseName[];
  readonly patches: readonly Patch[];
}

const VIEW = 'services/pages/views/full-list.ts';
const SELLERS = 'services/top-clients/adapters/postgres/sellers.ts';
const MEMBERSHIP = 'services/projector/membership.ts';
const OUTBOX = 'services/top-clients/adapters/postgres/outbox.ts';

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'drop-version-guard',
    about: 'a view takes whatever comes',
    faults: ['duplicates'],
    breaks: ['I6', 'I4'],
    patches: [{ file: VIEW, find: '\n      where held.version < excluded.version`', replace: '`' }],
  },
  {
    name: 'apply-equal-again',
    about: 'an event that was applied is applied again',
    faults: ['offsets-reset'],
    breaks: ['I7'],
    patches: [
      { file: VIEW, find: 'held.version < excluded.version', replace: 'held.version <= excluded.version' },
    ],
  },
  {
    name: 'id-cursor',
    about: 'the relay goes on after the highest id it has seen',
    faults: ['late-commits'],
    breaks: ['I4', 'I2'],
    patches: [
      {
        file: OUTBOX,
        find: 'export async function ackAndFetchRows(',
        replace: 'let cursor = 0;\nexport async function ackAndFetchRows(',
      },
      {
        file: OUTBOX,
        find: 'where id >= $7::bigint and bucket',
        replace: 'where id > $8::bigint and id >= $7::bigint and bucket',
      },
      { file: OUTBOX, find: '    floor,\n  ]);', replace: '    floor,\n    cursor,\n  ]);' },
      {
        file: OUTBOX,
        find: '  return rows.map(toRow);',
        replace:
          '  for (const [id] of rows) cursor = Math.max(cursor, Number(id));\n  return rows.map(toRow);',
      },
    ],
  },
  {
    name: 'floor-before-commits',
    about: 'the relay looks no more below an id under which transactions are still open',
    faults: ['late-commits'],
    breaks: ['I4', 'I2'],
    patches: [
      {
        file: 'services/platform/id-floor.ts',
        find: 'if (holding.size === 0) this.#upTo',
        replace: 'if (holding.size >= 0) this.#upTo',
      },
    ],
  },
  {
    name: 'answer-before-commit',
    about: 'the source answers before the commit is durable',
    faults: ['kill-source-before-commit'],
    breaks: ['I1', 'I3'],
    patches: [
      {
        file: SELLERS,
        find: 'await Promise.all([\n            ...commits',
        replace: 'void Promise.all([\n            ...commits',
      },
      {
        file: SELLERS,
        find: "tx.query('commit'),\n          ]);",
        replace: "tx.query('commit'),\n          ]).catch(() => {});",
      },
    ],
  },
  {
    name: 'skip-outbox',
    about: 'one change in twenty is not written to the outbox',
    faults: ['kill-relay'],
    breaks: ['I2', 'I4'],
    patches: [
      {
        file: 'services/top-clients/adapters/postgres/record-event.ts',
        find: 'values ($9, $1, $2, $6, $10, $5, $8)`',
        replace:
          'select $9::smallint, $1::bigint, $2::bigint, $6::text, $10::text, $5::timestamptz, $8::text\n    where $2::bigint % 20 <> 0`',
      },
    ],
  },
  {
    name: 'stale-self-view',
    about: 'reads of the source come from a cache of half a second',
    faults: ['kill-relay'],
    breaks: ['I3'],
    patches: [
      {
        file: SELLERS,
        find: 'interface ListRow {',
        replace: 'const kept = new Map<number, { list: StoredList; until: number }>();\ninterface ListRow {',
      },
      {
        file: SELLERS,
        find: '...READ_LIST, values: [sellerId] });\n        return listOf(sellerId, rows[0]);',
        replace:
          '...READ_LIST, values: [sellerId] });\n        const old = kept.get(sellerId);\n        if (old && old.until > Date.now()) return old.list;\n        const list = listOf(sellerId, rows[0]);\n        kept.set(sellerId, { list, until: Date.now() + 500 });\n        return list;',
      },
    ],
  },
  {
    name: 'no-tombstone-row',
    about: 'a view forgets the version of a seller without clients',
    faults: ['duplicates'],
    breaks: ['I8', 'I6'],
    patches: [
      {
        file: VIEW,
        find: 'return count;',
        replace:
          "await db.query('delete from top_clients where json_array_length(clients) = 0');\n    return count;",
      },
    ],
  },
  {
    name: 'erase-keeps-log',
    about: 'an erasure leaves the log as it was',
    faults: ['kill-relay'],
    breaks: ['I8'],
    patches: [
      {
        file: 'services/top-clients/adapters/postgres/erasures.ts',
        find: 'and change is not null',
        replace: 'and change is not null and false',
      },
    ],
  },
  {
    name: 'park-blocks',
    about: 'a projector waits at an event that it cannot apply',
    faults: ['poison'],
    breaks: ['I9'],
    patches: [
      {
        file: 'services/projector/applier.ts',
        find: 'const stale = unapplicable.length > 0 ? await this.#park(unapplicable) : 0;',
        replace: 'const stale = unapplicable.length > 0 ? await new Promise<number>(() => {}) : 0;',
      },
    ],
  },
  {
    name: 'acknowledge-before-send',
    about: 'the relay deletes what Kafka may not have yet',
    faults: ['kill-relay-before-send'],
    breaks: ['I2', 'I4'],
    patches: [
      {
        file: 'services/outbox-relay/publisher.ts',
        find: 'send: (batch) => Promise.race([send(batch), afterCut.promise]),',
        replace: 'send: async (batch) => void send(batch).catch(() => {}),',
      },
    ],
  },
  {
    name: 'checkpoint-before-rows',
    about: 'a projector counts what it has not written yet',
    faults: ['kill-projector-before-rows'],
    breaks: ['I4'],
    patches: [
      {
        file: 'services/projector/applier.ts',
        find: 'const written: Applicable[] = [];',
        replace: 'this.#advance(chunk, []);\n    const written: Applicable[] = [];',
      },
    ],
  },
  {
    name: 'deaf-partition',
    about: 'a projector that lost its database never reads one partition again, and is ready all the while',
    faults: ['kill-postgres-pages'],
    breaks: ['I10'],
    patches: [
      {
        file: MEMBERSHIP,
        find: 'export class Membership {',
        replace: 'let memberships = 0;\nexport class Membership {\n  readonly #number = ++memberships;',
      },
      {
        file: MEMBERSHIP,
        find: "const next = state === 'running' ? this.applier",
        replace:
          "const isDeaf = this.#number > 1 && partition === 1;\n      const next = state === 'running' && !isDeaf ? this.applier",
      },
      {
        file: 'services/projector/projector.ts',
        find: 'if (worst === undefined || this.#stalled !== null) return;',
        replace: 'if (worst === undefined || still.length > 0) return;',
      },
    ],
  },
  {
    name: 'parked-not-told',
    about: 'sellers are parked, and the metric that an alert reads says that none is',
    faults: ['poison'],
    breaks: ['I10'],
    patches: [
      {
        file: 'services/projector/metrics.ts',
        find: 'parkedSellers: (count: number) => parkedSellers.set({ page }, count),',
        replace: 'parkedSellers: (_: number) => parkedSellers.set({ page }, 0),',
      },
    ],
  },
  {
    name: 'no-source-deadline',
    about: 'a page waits for the source as long as it takes',
    faults: ['hang-source', 'silent-page-source'],
    breaks: ['I5'],
    patches: [
      {
        file: 'services/source-client/transport.ts',
        find: ' ms`), call.deadlineMs);',
        replace: ' ms`), 60_000);',
      },
    ],
  },
];

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Replaces text that must occur exactly once. @throws when the code has changed */
export function patched(text: string, { file, find, replace }: Patch): string {
  const parts = text.split(find);
  if (parts.length !== 2) {
    throw new Error(
      `the mutation fits ${parts.length - 1} places of ${file}, and must fit one; bring it up to date: ${JSON.stringify(find)}`,
    );
  }
  return parts.join(replace);
}

/**
 * Copies the sources and changes them.
 * @returns the `main.ts` to run the roles from
 */
export async function mutatedCopy(mutation: Mutation, folder: string): Promise<string> {
  for (const part of ['services', 'cdk8s', 'package.json']) {
    await cp(join(ROOT, part), join(folder, part), { recursive: true });
  }
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  for (const patch of mutation.patches) {
    const file = join(folder, patch.file);
    await writeFile(file, patched(await readFile(file, 'utf8'), patch));
  }
  return join(folder, 'services', 'main.ts');
}
