import { describe, expect, test } from '@jest/globals';
import { build } from '../build.ts';
import { platformOf } from '../testing/platforms.ts';
import { postgresCnpg } from './postgres-cnpg.ts';

const SOURCE = 'top-clients-postgres';
const PAGES = 'top-clients-postgres-pages';
const PLUGIN = 'barman-cloud.cloudnative-pg.io';

/** What is made, by kind and name. */
const made = (cnpg: object, postgres: object = {}) => {
  const platform = platformOf({ postgres: { mode: 'cnpg', cnpg, ...postgres } });
  const objects = build((scope) => postgresCnpg(scope, platform));
  // biome-ignore lint/suspicious/noExplicitAny: it is another operator's
  const of = (kind: string): Readonly<Record<string, any>> =>
    Object.fromEntries(
      objects.filter((one) => one.kind === kind).map((one) => [one.metadata.name, one['spec']]),
    );
  return { clusters: of('Cluster'), schedules: of('ScheduledBackup') };
};

describe('backups', () => {
  test('are nobody’s unless asked for', () => {
    const { clusters, schedules } = made({});
    expect(schedules).toEqual({});
    for (const { plugins, backup } of Object.values(clusters))
      expect([plugins, backup]).toEqual([undefined, undefined]);
  });

  test('go into an object store, each cluster’s under its own name, with the log', () => {
    const { clusters, schedules } = made({ backup: { method: 'plugin', objectStore: 'backups' } });
    for (const name of [SOURCE, PAGES]) {
      expect(clusters[name].plugins).toEqual([
        { name: PLUGIN, isWALArchiver: true, parameters: { barmanObjectName: 'backups' } },
      ]);
      expect(schedules[name]).toEqual({
        cluster: { name },
        schedule: '0 0 2 * * *',
        immediate: true,
        target: 'prefer-standby',
        // They are what is left when all else is gone.
        backupOwnerReference: 'none',
        method: 'plugin',
        pluginConfiguration: { name: PLUGIN },
      });
    }
  });

  test('are copies of volumes, of a class, and the log beside them where a store is named', () => {
    const { clusters, schedules } = made({
      backup: { method: 'volumeSnapshot', volumeSnapshotClass: 'csi', online: false, objectStore: 'log' },
    });
    expect(clusters[SOURCE]).toMatchObject({
      backup: { volumeSnapshot: { className: 'csi', online: false } },
      plugins: [{ isWALArchiver: true }],
    });
    expect(schedules[SOURCE]).toMatchObject({ method: 'volumeSnapshot' });
    expect(schedules[SOURCE].pluginConfiguration).toBeUndefined();
  });

  test('of pages are as the source’s, or as it is said for them', () => {
    const backup = { method: 'plugin', objectStore: 'backups' };
    const none = made({ backup, pages: { backup: { method: 'none' } } });
    expect(Object.keys(none.schedules)).toEqual([SOURCE]);
    expect(none.clusters[PAGES].plugins).toBeUndefined();
    const each = made({ backup, pages: { backup: { ...backup, schedule: '@hourly' } } }, { servers: 'each' });
    expect(Object.keys(each.schedules)).toHaveLength(4);
    expect(each.schedules[`${SOURCE}-gig`].schedule).toBe('@hourly');
  });
});

describe('a cluster is recovered', () => {
  const from = (recovery: object, more: object = {}) => made({ recovery, ...more }).clusters;

  test('from an object store, up to a moment, and writes elsewhere from then on', () => {
    const clusters = from(
      { source: { objectStore: 'backups', target: { time: '2026-11-29T12:00:00Z' } } },
      { backup: { method: 'plugin', objectStore: 'backups', serverSuffix: '2' } },
    );
    expect(clusters[SOURCE]).toMatchObject({
      bootstrap: {
        recovery: {
          database: 'source',
          owner: 'topclients',
          source: 'origin',
          recoveryTarget: { targetTime: '2026-11-29T12:00:00Z' },
        },
      },
      externalClusters: [
        {
          name: 'origin',
          plugin: { name: PLUGIN, parameters: { barmanObjectName: 'backups', serverName: SOURCE } },
        },
      ],
      plugins: [{ parameters: { barmanObjectName: 'backups', serverName: `${SOURCE}-2` } }],
    });
    expect(clusters[SOURCE].bootstrap.initdb).toBeUndefined();
    expect(clusters[PAGES].plugins[0].parameters).toEqual({ barmanObjectName: 'backups' });
    // The others begin as they always do.
    expect(clusters[PAGES].bootstrap).toEqual({ initdb: { database: 'gig', owner: 'topclients' } });
    expect(clusters[PAGES].externalClusters).toBeUndefined();
  });

  test('once more, from the archive of the recovery before', () => {
    const again = from(
      { source: { objectStore: 'backups', serverSuffix: '2' } },
      { backup: { objectStore: 'backups', serverSuffix: '3' } },
    );
    expect(again[SOURCE].externalClusters[0].plugin.parameters.serverName).toBe(`${SOURCE}-2`);
    expect(again[SOURCE].plugins[0].parameters.serverName).toBe(`${SOURCE}-3`);
  });

  test('from a snapshot of a volume, with the log behind it or without', () => {
    const snapshot = { apiGroup: 'snapshot.storage.k8s.io', kind: 'VolumeSnapshot', name: 'monday' };
    const alone = from({ pages: { volumeSnapshot: 'monday' } })[PAGES];
    expect(alone.bootstrap.recovery).toEqual({
      database: 'gig',
      owner: 'topclients',
      volumeSnapshots: { storage: snapshot },
    });
    expect(alone.externalClusters).toBeUndefined();
    const withLog = from({ pages: { volumeSnapshot: 'monday', objectStore: 'log' } })[PAGES];
    expect(withLog.bootstrap.recovery).toMatchObject({
      source: 'origin',
      volumeSnapshots: { storage: snapshot },
    });
  });

  test('from a Backup', () => {
    expect(from({ source: { backup: 'monday' } })[SOURCE].bootstrap.recovery).toMatchObject({
      backup: { name: 'monday' },
    });
  });

  test('of each page by itself', () => {
    const { clusters } = made({ recovery: { user: { backup: 'monday' } } }, { servers: 'each' });
    const recovered = Object.entries(clusters).filter(([, { bootstrap }]) => bootstrap.recovery);
    expect(recovered.map(([name]) => name)).toEqual([`${SOURCE}-user`]);
  });

  test.each([
    [{ lsn: '0/3000028' }, { targetLSN: '0/3000028' }],
    [
      { xid: '7', backupId: 'b' },
      { targetXID: '7', backupID: 'b' },
    ],
    [
      { name: 'before-sale', backupId: 'b' },
      { targetName: 'before-sale', backupID: 'b' },
    ],
    [
      { immediate: true, backupId: 'b', timeline: '3' },
      { targetImmediate: true, backupID: 'b', targetTLI: '3' },
    ],
    [
      { time: '2026-11-29 12:00:00+02', exclusive: true },
      { targetTime: '2026-11-29 12:00:00+02', exclusive: true },
    ],
  ])('up to %j', (target, expected) => {
    const { recoveryTarget } = from({ source: { objectStore: 'b', target } })[SOURCE].bootstrap.recovery;
    expect(recoveryTarget).toEqual(expected);
  });
});

test.each([
  ['five fields', { backup: { schedule: '0 2 * * *' } }, /six fields, seconds first/],
  [
    'a moment without a zone',
    { recovery: { source: { objectStore: 'b', target: { time: '2026-11-29 12:00:00' } } } },
    /a time with its zone/,
  ],
])('%s are refused', (_, cnpg, sentence) => {
  expect(() => made(cnpg)).toThrow(sentence);
});
