import { z } from 'zod';
import { eachPage } from '#contracts/pages.ts';
import { objectName, type Rule, rules } from './shared.ts';

/** Bounded, for rules compare it: the API server reckons with the longest there may be. */
const objectStoreName = objectName.max(253);

/** Of an object store, beside the name of the cluster. */
const serverSuffix = (description: string) =>
  z
    .string()
    .max(16)
    .regex(/^[a-z0-9]{0,16}$/, 'must be at most 16 lower-case letters and digits')
    .default('')
    .meta({ description });

const backup = z.strictObject({
  method: z.enum(['none', 'plugin', 'volumeSnapshot']).default('none').meta({
    description:
      'How base backups are taken. plugin: by the Barman Cloud plugin, into objectStore; volumeSnapshot: of the volumes; none: not at all, or by ScheduledBackups of yours',
  }),
  schedule: z
    .string()
    .max(128)
    .regex(
      /^(@(yearly|annually|monthly|weekly|daily|midnight|hourly)|@every \S+|(\S+ ){5}\S+)$/,
      'must have six fields, seconds first, like 0 0 2 * * *, or be one of @daily, @hourly, @every 6h',
    )
    .default('0 0 2 * * *')
    .meta({ description: 'When, in six fields, seconds first, in UTC' }),
  immediate: z
    .boolean()
    .default(true)
    .meta({ description: 'Whether the first is taken at once, when the schedule is made' }),
  target: z
    .enum(['prefer-standby', 'primary'])
    .default('prefer-standby')
    .meta({ description: 'Which instance it is taken from' }),
  objectStore: objectStoreName.optional().meta({
    description:
      'The ObjectStore of the Barman Cloud plugin, in this namespace: with it the write-ahead log is archived, whatever the method, which a recovery to a point in time needs. How long backups are kept is said there',
  }),
  serverSuffix: serverSuffix(
    'Behind the name of each cluster, under which the store has what is its own. Another one after each recovery, for a new cluster does not write into an archive that is not empty',
  ),
  volumeSnapshotClass: objectName
    .optional()
    .meta({ description: "The VolumeSnapshotClass; the cluster's default when absent" }),
  online: z.boolean().default(true).meta({
    description:
      'For volumeSnapshot: whether the instance goes on meanwhile; otherwise it is stopped, and a standby should be the target',
  }),
});
const complete = rules({
  rule: "self.method != 'plugin' || has(self.objectStore)",
  message:
    'backup.method plugin needs backup.objectStore, the name of an ObjectStore of the Barman Cloud plugin',
});
export type Backup = z.output<typeof backup>;

/** What is backed up, and when. */
export const backupOf = (description: string) =>
  backup.prefault({} as never).meta({ description, ...complete });
/** The same without a default for the whole: where another applies when it is absent. */
export const otherBackup = (description: string) => backup.optional().meta({ description, ...complete });

const target = z.strictObject({
  time: z
    .string()
    .max(64)
    .regex(
      /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d(:?\d\d)?)$/,
      'must be a time with its zone, like 2026-11-29T12:00:00Z',
    )
    .optional()
    .meta({ description: 'The moment, as 2026-11-29T12:00:00Z' }),
  lsn: z
    .string()
    .regex(/^[0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8}$/, 'must be a place in the log, like 0/3000028')
    .optional()
    .meta({ description: 'The place in the write-ahead log' }),
  xid: z
    .string()
    .regex(/^\d{1,10}$/, 'must be the number of a transaction')
    .optional()
    .meta({ description: 'The transaction' }),
  name: z.string().min(1).max(63).optional().meta({ description: 'As given to pg_create_restore_point' }),
  immediate: z.boolean().optional().meta({ description: 'true: as soon as the base backup is consistent' }),
  exclusive: z
    .boolean()
    .default(false)
    .meta({ description: 'Whether to end just before the target instead of just after it' }),
  timeline: z
    .string()
    .regex(/^(latest|[1-9]\d{0,9})$/, 'must be latest or a number')
    .optional()
    .meta({ description: 'The timeline; latest when absent' }),
  backupId: z.string().min(1).max(128).optional().meta({
    description:
      "The base backup to begin with, by the store's own name for it; the last one before the target when absent",
  }),
});
const oneTarget = rules({
  rule: '(has(self.time) ? 1 : 0) + (has(self.lsn) ? 1 : 0) + (has(self.xid) ? 1 : 0) + (has(self.name) ? 1 : 0) + (has(self.immediate) ? 1 : 0) <= 1',
  message: 'target is one of time, lsn, xid, name and immediate; remove the others',
});

const recovery = z.strictObject({
  objectStore: objectStoreName
    .optional()
    .meta({ description: 'The ObjectStore that has the backups, or the log behind a volumeSnapshot' }),
  serverSuffix: serverSuffix('What backup.serverSuffix was when they were taken'),
  volumeSnapshot: objectName
    .optional()
    .meta({ description: 'A VolumeSnapshot in this namespace, in place of the base backup' }),
  backup: objectName.optional().meta({
    description: 'A Backup by volumeSnapshot in this namespace, and no change after it',
  }),
  target: target
    .optional()
    .meta({ description: 'Up to where; to the end of the log when absent', ...oneTarget }),
});
const recoverable = rules(
  {
    rule: 'has(self.objectStore) || has(self.volumeSnapshot) || has(self.backup)',
    message: 'a recovery needs what to recover from: objectStore, volumeSnapshot or backup',
  },
  {
    rule: '!has(self.backup) || (!has(self.objectStore) && !has(self.volumeSnapshot))',
    message:
      'recovery.backup stands alone; to go on from a snapshot by the log name its volumeSnapshot, and the objectStore',
  },
  {
    rule: '!has(self.target) || has(self.objectStore)',
    message: 'recovery.target needs recovery.objectStore, where the write-ahead log is',
  },
  {
    rule: '!has(self.target) || !(has(self.target.xid) || has(self.target.name) || has(self.target.immediate)) || has(self.volumeSnapshot) || has(self.target.backupId)',
    message:
      'recovery.target by xid, name or immediate does not tell which base backup to begin with; set target.backupId',
  },
  {
    rule: '!has(self.volumeSnapshot) || !has(self.target) || !has(self.target.backupId)',
    message:
      'recovery.target.backupId is a base backup in an object store, and volumeSnapshot stands in its place; remove one of them',
  },
);
export type Recovery = z.output<typeof recovery>;

/** What a cluster is made from; nothing when absent. */
export const recoveryOf = (description: string) => recovery.optional().meta({ description, ...recoverable });

/** Where a cluster writes its archive, in CEL. */
const ARCHIVE_OF_SOURCE = {
  store: "(has(self.backup.objectStore) ? self.backup.objectStore : '')",
  suffix: 'self.backup.serverSuffix',
};
const ARCHIVE_OF_PAGES = {
  store: `(has(self.pages.backup) ? (has(self.pages.backup.objectStore) ? self.pages.backup.objectStore : '') : ${ARCHIVE_OF_SOURCE.store})`,
  suffix: "(has(self.pages.backup) ? self.pages.backup.serverSuffix : '')",
};
const RECOVERED = {
  source: ARCHIVE_OF_SOURCE,
  pages: ARCHIVE_OF_PAGES,
  ...eachPage(() => ARCHIVE_OF_PAGES),
};
/** A cluster that is recovered must not find its archive in use. */
export const writtenElsewhere = Object.entries(RECOVERED).map(([server, { store, suffix }]): Rule => {
  const from = `self.recovery.${server}`;
  return {
    rule: `!has(${from}) || !has(${from}.objectStore) || ${from}.objectStore != ${store} || ${from}.serverSuffix != ${suffix}`,
    message: `cnpg.recovery.${server} reads the archive that the recovered cluster would write to, which is refused for one that is not empty; set backup.serverSuffix to another`,
  };
});
