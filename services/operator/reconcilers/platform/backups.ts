import {
  cnpgServer,
  type DatabaseServer,
  databaseServers,
  holdsSource,
} from '#cdk8s/constructs/database-servers.ts';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import type { Platform } from '#cdk8s/platform.ts';
import type { ClusterSnapshot } from '../../runtime/cluster-snapshot.ts';
import { type ConditionValue, conditionOf, no, yes } from '../../runtime/conditions.ts';
import { refOf } from '../../runtime/objects.ts';
import { CLUSTER, SCHEDULED_BACKUP } from '../kinds.ts';

type Made = Readonly<Record<string, unknown>>;

/**
 * A Cluster that is there keeps what it was made from: CloudNativePG reads it once, and refuses one with two beginnings,
 * of which its own defaults would leave us one. While a recovery is wanted it keeps its archive too: that of the recovered
 * one has to be empty, and the recovery ends where the old one stops to write.
 */
export function asMade(store: KubeObject, snapshot: ClusterSnapshot): KubeObject {
  if (store.kind !== CLUSTER.kind) return store;
  const live = snapshot.find(refOf(store))?.spec as Made | undefined;
  if (live?.['bootstrap'] === undefined) return store;
  const { bootstrap, externalClusters: _, plugins, ...wanted } = store['spec'] as Made;
  const isRecovery = 'recovery' in (bootstrap as Made);
  if (!isRecovery && 'initdb' in (live['bootstrap'] as Made)) return store;
  const kept = {
    bootstrap: live['bootstrap'],
    externalClusters: live['externalClusters'],
    plugins: isRecovery ? live['plugins'] : plugins,
  };
  const given = Object.entries(kept).filter(([, value]) => value !== undefined);
  return { ...store, spec: { ...wanted, ...Object.fromEntries(given) } };
}

/** The condition BackupsScheduled: whether what no other store could fill again is backed up. */
export function backupsScheduled(platform: Platform, snapshot: ClusterSnapshot): ConditionValue {
  const { mode } = platform.spec.postgres;
  if (mode === 'external')
    return { status: 'Unknown', reason: 'External', message: 'backups of your servers are yours to take' };
  const servers = databaseServers(platform);
  const source = servers.find(holdsSource)!;
  if (mode === 'embedded')
    return no('Embedded', `${source.name} is a server for development, and nobody backs it up`);
  const isLeftOut = (server: DatabaseServer) => cnpgServer(platform, server).backup.method === 'none';
  if (isLeftOut(source)) {
    return no(
      'NotScheduled',
      `nobody backs up ${source.name}, which alone has what sellers wrote: set postgres.cnpg.backup, unless a ScheduledBackup of yours does`,
    );
  }
  const scheduled = servers.filter((server) => !isLeftOut(server));
  for (const server of scheduled) {
    const because = fails(platform, server, snapshot);
    if (because) return because;
  }
  const others = servers.filter(isLeftOut).map(({ name }) => name);
  return yes(
    'Scheduled',
    `${scheduled.map((server) => when(platform, server, snapshot)).join('; ')}${others.length > 0 ? `; ${others.join(', ')} not` : ''}`,
  );
}

function fails(
  { namespace }: Platform,
  { name }: DatabaseServer,
  snapshot: ClusterSnapshot,
): ConditionValue | null {
  const cluster = snapshot.find({ ...CLUSTER, namespace, name });
  const schedule = snapshot.find({ ...SCHEDULED_BACKUP, namespace, name });
  if (!cluster) return { status: 'Unknown', reason: 'NotThere', message: `there is no Cluster ${name} yet` };
  const archiving = conditionOf(cluster, 'ContinuousArchiving');
  if (archiving?.status === 'False')
    return no(
      'ArchivingFails',
      `the write-ahead log of ${name} is not archived: ${archiving.message ?? 'nothing said'}`,
    );
  const last = conditionOf(cluster, 'LastBackupSucceeded');
  // While one runs the condition is false as well.
  if (last?.status === 'False' && last.reason !== 'BackupStarted')
    return no('BackupFailed', `the last backup of ${name} failed: ${last.message ?? 'nothing said'}`);
  if (!schedule || schedule.status?.error)
    return no(
      'NotScheduled',
      `${name} is not backed up: ${schedule?.status?.error ?? 'its ScheduledBackup is not there'}`,
    );
  return null;
}

function when({ namespace }: Platform, { name }: DatabaseServer, snapshot: ClusterSnapshot): string {
  const status = snapshot.find({ ...SCHEDULED_BACKUP, namespace, name })?.status;
  const [last, next] = [status?.lastScheduleTime, status?.nextScheduleTime] as (string | undefined)[];
  return `${name} ${last ? `was backed up at ${last}` : 'has no backup yet'}${next ? `, next at ${next}` : ''}`;
}
