import { beforeEach, describe, expect, test } from '@jest/globals';
import { API_VERSION } from '#cdk8s/api/shared.ts';
import { DEMO } from '#cdk8s/testing/platforms.ts';
import type { StoredObject } from '../../runtime/kube.ts';
import { PLATFORM_KEY } from '../keys.ts';
import { OF_OTHERS } from '../kinds.ts';
import { settle } from '../testing/controllers.ts';
import { InMemoryKube } from '../testing/in-memory-kube.ts';
import { reconcilerIn } from '../testing/reconciler.ts';

const NOW = Date.parse('2026-11-29T12:00:00Z');
const SOURCE = 'top-clients-postgres';
const PAGES = 'top-clients-postgres-pages';

let kube: InMemoryKube;
let reconcile: ReturnType<typeof reconcilerIn>;
beforeEach(() => {
  kube = new InMemoryKube(OF_OTHERS);
  reconcile = reconcilerIn({ kube, now: () => NOW });
});

const platform = async (postgres: object) => {
  const spec = { ...DEMO.topClients, postgres };
  const metadata = { name: 'top-clients', namespace: 'shop' };
  kube.put({ apiVersion: API_VERSION, kind: 'TopClients', metadata, spec });
  await reconcile(PLATFORM_KEY);
};
/** Lets the platform come up as a whole. */
const settled = async () => {
  for (let round = 0; round < 8; round++) {
    for (const object of [...kube.objects.values()]) {
      if (object.kind === 'Cluster') kube.put(object, { conditions: [{ type: 'Ready', status: 'True' }] });
      if (object.kind === 'Database') kube.put(object, { applied: true });
    }
    settle(kube, NOW);
    await reconcile(PLATFORM_KEY);
  }
};
const cluster = (name = SOURCE): StoredObject => kube.find('Cluster', name)!;
const plugin = { mode: 'cnpg', cnpg: { backup: { method: 'plugin', objectStore: 'backups' } } };

describe('whether backups are taken', () => {
  const said = (): string => {
    const conditions: { type: string; status: string; reason: string; message: string }[] = kube.find(
      'TopClients',
      'top-clients',
    )!.status.conditions;
    const { status, reason, message } = conditions.find(({ type }) => type === 'BackupsScheduled')!;
    return `${status} ${reason}: ${message}`;
  };
  const says = async (name: string, ...conditions: object[]) => {
    kube.put(cluster(name), { conditions });
    await reconcile(PLATFORM_KEY);
  };
  const last = (status: string, reason: string, message?: string) => ({
    type: 'LastBackupSucceeded',
    status,
    reason,
    message,
  });

  test.each([
    [
      'servers of somebody else',
      { mode: 'external', external: { existingSecret: 'x' } },
      /^Unknown External/,
    ],
    ['an embedded server', {}, /^False Embedded/],
    ['nobody asked for any', { mode: 'cnpg' }, /^False NotScheduled: .*set postgres\.cnpg\.backup/],
    ['the pages’ alone', { mode: 'cnpg', cnpg: { pages: plugin.cnpg } }, /^False NotScheduled/],
  ])('%s', async (_, postgres, expected) => {
    await platform(postgres);
    expect(said()).toMatch(expected);
  });

  test('when the last was, and the next will be, for each cluster', async () => {
    await platform(plugin);
    await says(SOURCE, last('True', 'LastBackupSucceeded'));
    expect(said()).toBe(`True Scheduled: ${SOURCE} has no backup yet; ${PAGES} has no backup yet`);
    kube.put(kube.find('ScheduledBackup', SOURCE)!, {
      lastScheduleTime: '2026-11-29T02:00:00Z',
      nextScheduleTime: '2026-11-30T02:00:00Z',
    });
    await reconcile(PLATFORM_KEY);
    expect(said()).toContain(
      `${SOURCE} was backed up at 2026-11-29T02:00:00Z, next at 2026-11-30T02:00:00Z;`,
    );
  });

  test('what is left out is named', async () => {
    await platform({ mode: 'cnpg', cnpg: { ...plugin.cnpg, pages: { backup: {} } } });
    await reconcile(PLATFORM_KEY);
    expect(said()).toContain(`; ${PAGES} not`);
  });

  test.each([
    [
      'a backup that failed',
      last('False', 'LastBackupFailed', 'no bucket'),
      /^False BackupFailed: .*no bucket/,
    ],
    ['one that runs', last('False', 'BackupStarted'), /^True Scheduled/],
    [
      'a log that is not archived',
      { type: 'ContinuousArchiving', status: 'False', message: 'Expected empty archive' },
      /^False ArchivingFails: .*Expected empty archive/,
    ],
  ])('%s', async (_, condition, expected) => {
    await platform(plugin);
    await says(PAGES, condition);
    expect(said()).toMatch(expected);
  });

  test('one that is refused', async () => {
    await platform(plugin);
    kube.put(kube.find('ScheduledBackup', SOURCE)!, { error: 'no such plugin' });
    await reconcile(PLATFORM_KEY);
    expect(said()).toMatch(/^False NotScheduled: .*no such plugin/);
  });

  test('a schedule that is not wanted any more is removed', async () => {
    await platform(plugin);
    await settled();
    expect(kube.names('ScheduledBackup')).toEqual([SOURCE, PAGES]);
    await platform({ mode: 'cnpg' });
    await settled();
    expect(kube.names('ScheduledBackup')).toEqual([]);
    expect(cluster().spec.plugins).toBeUndefined();
  });
});

describe('what a cluster was made from stays', () => {
  const recovery = { source: { objectStore: 'backups' } };
  const recovered = { mode: 'cnpg', cnpg: { recovery } };
  const archive = (name = SOURCE) => cluster(name).spec.plugins[0].parameters.serverName;

  test('when a recovery is prepared: it is made from it once it was deleted', async () => {
    await platform({ mode: 'cnpg' });
    // As CloudNativePG's defaults leave it.
    const { spec } = cluster();
    const initdb = { ...spec.bootstrap.initdb, encoding: 'UTF8' };
    kube.put({ ...cluster(), spec: { ...spec, bootstrap: { initdb } } });
    await platform(recovered);
    expect(cluster().spec.bootstrap).toEqual({ initdb });
    expect(cluster().spec.externalClusters).toBeUndefined();
    kube.remove('Cluster', SOURCE);
    await reconcile(PLATFORM_KEY);
    expect(cluster().spec.bootstrap.recovery.source).toBe('origin');
    expect(cluster().spec.externalClusters).toHaveLength(1);
  });

  test('and it writes to its archive until then, for that of the recovered one has to be empty', async () => {
    await platform(plugin);
    const anew = { ...plugin.cnpg, backup: { ...plugin.cnpg.backup, serverSuffix: '2' } };
    await platform({ mode: 'cnpg', cnpg: { ...anew, recovery } });
    expect(archive()).toBeUndefined();
    kube.remove('Cluster', SOURCE);
    await reconcile(PLATFORM_KEY);
    expect(archive()).toBe(`${SOURCE}-2`);
    // Once more, from the archive that it writes now.
    const again = { backup: { ...anew.backup, serverSuffix: '3' } };
    await platform({
      mode: 'cnpg',
      cnpg: { ...again, recovery: { source: { ...recovery.source, serverSuffix: '2' } } },
    });
    expect(archive()).toBe(`${SOURCE}-2`);
    // Nobody wants a recovery any more: what is said of backups holds again.
    await platform({ mode: 'cnpg', cnpg: again });
    expect(archive()).toBe(`${SOURCE}-3`);
  });

  test('when it was recovered, and the recovery is no longer in the spec', async () => {
    await platform(recovered);
    const { bootstrap, externalClusters } = cluster().spec;
    await platform({ mode: 'cnpg', cnpg: { instances: 5 } });
    expect(cluster().spec).toMatchObject({ instances: 5, bootstrap, externalClusters });
    expect(cluster().spec.bootstrap.initdb).toBeUndefined();
    kube.writes.length = 0;
    await reconcile(PLATFORM_KEY);
    expect(kube.writes).not.toContain(`apply Cluster ${SOURCE}`);
  });
});
