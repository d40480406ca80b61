import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import type { Platform } from '../platform.ts';
import { names } from '../platform.ts';
import { archived, CNPG_API, madeFrom, scheduledBackup } from './cnpg-backup.ts';
import { accounts, databaseOn } from './database-access.ts';
import { cnpgServer, type DatabaseServer, databaseServers } from './database-servers.ts';
import { metadataOf } from './labels.ts';
import { cnpgPods } from './store-pods.ts';

const component = 'postgres';
/** The owner of all databases, which migrates them. CloudNativePG keeps its password in the secret `<cluster>-app`. */
const OWNER = 'topclients';

/** PostgreSQL clusters run by CloudNativePG, and the databases in them. */
export function postgresCnpg(scope: Construct, platform: Platform): void {
  for (const server of databaseServers(platform)) cluster(scope, platform, server);
}

function cluster(scope: Construct, platform: Platform, server: DatabaseServer): void {
  const { cnpg } = platform.spec.postgres;
  const cnpgSpec = cnpgServer(platform, server);
  const { instances, storage, resources, maxConnections, synchronous, backup } = cnpgSpec;
  const pods = cnpgPods(platform, cnpg.pod, server.name);
  const [first, ...others] = server.databases;
  new ApiObject(scope, server.instance, {
    apiVersion: CNPG_API,
    kind: 'Cluster',
    metadata: metadataOf(platform, server.name, component, server.instance),
    spec: {
      instances,
      ...(cnpg.image ? { imageName: cnpg.image } : {}),
      storage: {
        size: storage.size,
        ...(storage.className ? { storageClass: storage.className } : {}),
      },
      resources,
      postgresql: {
        parameters: { max_connections: String(maxConnections) },
        ...(synchronous ? { synchronous: { method: 'any', ...waitedFor(synchronous) } } : {}),
      },
      // PostgreSQL first waits for its clients to leave; pools of ours never do, and each end would take three minutes.
      smartShutdownTimeout: cnpg.smartShutdownTimeout,
      stopDelay: cnpg.stopDelay,
      switchoverDelay: cnpg.switchoverDelay,
      failoverDelay: cnpg.failoverDelay,
      ...(cnpg.primaryLeaseSeconds ? { primaryLease: lease(cnpg.primaryLeaseSeconds) } : {}),
      // One user for each purpose; `migrate` grants their rights.
      managed: {
        roles: accounts(server.databases).map(({ name, secret }) => ({
          name,
          ensure: 'present',
          login: true,
          passwordSecret: { name: secret },
        })),
      },
      ...madeFrom(server, cnpgSpec, { database: databaseOn[first!], owner: OWNER }),
      ...archived(server, backup),
      affinity: {
        enablePodAntiAffinity: true,
        topologyKey: 'kubernetes.io/hostname',
        podAntiAffinityType: 'preferred',
        ...pods.affinity,
      },
      ...pods.spec,
    },
  });
  scheduledBackup(scope, platform, server, backup);
  // The first was created with the cluster.
  for (const database of others) {
    const name = databaseOn[database];
    new ApiObject(scope, `database-${name}`, {
      apiVersion: CNPG_API,
      kind: 'Database',
      metadata: metadataOf(platform, `${names.postgres}-${name.replaceAll('_', '-')}`, component),
      spec: {
        name,
        owner: OWNER,
        cluster: { name: server.name },
        // Deleting the object keeps the data.
        databaseReclaimPolicy: 'retain',
      },
    });
  }
}

/** Of older versions of CloudNativePG, which do not know a quorum, nothing is asked that they do not know. */
const waitedFor = ({
  failoverQuorum,
  ...waited
}: NonNullable<ReturnType<typeof cnpgServer>['synchronous']>) => ({
  ...waited,
  ...(failoverQuorum ? { failoverQuorum } : {}),
});

/** The primary gives up before its lease ends, as in CloudNativePG's own default of 15 and 10 s. */
const lease = (seconds: number) => ({
  leaseDurationSeconds: seconds,
  renewDeadlineSeconds: Math.floor((seconds * 2) / 3),
  retryPeriodSeconds: 2,
});
