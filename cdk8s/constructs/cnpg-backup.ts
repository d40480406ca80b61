import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import type { Backup, Recovery } from '../api/cnpg-backup.ts';
import type { Platform } from '../platform.ts';
import type { DatabaseServer } from './database-servers.ts';
import { metadataOf } from './labels.ts';

export const CNPG_API = 'postgresql.cnpg.io/v1';

/** The Barman Cloud plugin of CloudNativePG, which keeps base backups and the write-ahead log in an object store. */
const BARMAN = 'barman-cloud.cloudnative-pg.io';
/** The external cluster that a cluster is recovered from, by a name of its own within the Cluster. */
const ORIGIN = 'origin';

interface Application {
  readonly database: string;
  readonly owner: string;
}

/** What a Cluster is made from. CloudNativePG reads it once. */
export function madeFrom(
  { name }: DatabaseServer,
  { recovery }: { readonly recovery: Recovery | null },
  application: Application,
) {
  if (recovery === null) return { bootstrap: { initdb: application } };
  const { objectStore, serverSuffix, volumeSnapshot, backup, target } = recovery;
  return {
    bootstrap: {
      recovery: {
        // Without them nobody would get the password of the owner.
        ...application,
        ...(backup ? { backup: { name: backup } } : {}),
        ...(objectStore ? { source: ORIGIN } : {}),
        ...(volumeSnapshot
          ? {
              volumeSnapshots: {
                storage: {
                  apiGroup: 'snapshot.storage.k8s.io',
                  kind: 'VolumeSnapshot',
                  name: volumeSnapshot,
                },
              },
            }
          : {}),
        ...(target ? { recoveryTarget: recoveryTarget(target) } : {}),
      },
    },
    ...(objectStore
      ? {
          externalClusters: [
            {
              name: ORIGIN,
              plugin: {
                name: BARMAN,
                // The default would be the name in this list.
                parameters: { barmanObjectName: objectStore, serverName: serverName(name, serverSuffix) },
              },
            },
          ],
        }
      : {}),
  };
}

function recoveryTarget(target: NonNullable<Recovery['target']>): Readonly<Record<string, unknown>> {
  const { time, lsn, xid, name, immediate, exclusive, timeline, backupId } = target;
  const all = {
    targetTime: time,
    targetLSN: lsn,
    targetXID: xid,
    targetName: name,
    targetImmediate: immediate,
    targetTLI: timeline,
    backupID: backupId,
    exclusive: exclusive ? true : undefined,
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** How a Cluster's log is archived, and its volumes are copied. */
export function archived(
  { name }: DatabaseServer,
  { method, objectStore, serverSuffix, target, volumeSnapshotClass, online }: Backup,
) {
  const parameters = {
    barmanObjectName: objectStore,
    ...(serverSuffix ? { serverName: serverName(name, serverSuffix) } : {}),
  };
  return {
    ...(objectStore ? { plugins: [{ name: BARMAN, isWALArchiver: true, parameters }] } : {}),
    ...(method === 'volumeSnapshot'
      ? {
          backup: {
            target,
            volumeSnapshot: { ...(volumeSnapshotClass ? { className: volumeSnapshotClass } : {}), online },
          },
        }
      : {}),
  };
}

/** When a Cluster is backed up. Its Backups belong to nobody: they outlive schedule and cluster. */
export function scheduledBackup(
  scope: Construct,
  platform: Platform,
  { name, instance }: DatabaseServer,
  { method, schedule, immediate, target }: Backup,
): void {
  if (method === 'none') return;
  new ApiObject(scope, `backup-${instance}`, {
    apiVersion: CNPG_API,
    kind: 'ScheduledBackup',
    metadata: metadataOf(platform, name, 'postgres', instance),
    spec: {
      cluster: { name },
      schedule,
      immediate,
      target,
      backupOwnerReference: 'none',
      method,
      ...(method === 'plugin' ? { pluginConfiguration: { name: BARMAN } } : {}),
    },
  });
}

const serverName = (cluster: string, suffix: string): string => (suffix ? `${cluster}-${suffix}` : cluster);
