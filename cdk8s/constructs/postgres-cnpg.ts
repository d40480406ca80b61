import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import { DATABASES, names, type Platform } from '../platform.ts';
import { accounts, databaseOn } from './database-access.ts';
import { metadataOf } from './labels.ts';
import { cnpgPods } from './store-pods.ts';

const component = 'postgres';
const apiVersion = 'postgresql.cnpg.io/v1';
/** The owner of all databases, which migrates them. CloudNativePG keeps its password in the secret `<cluster>-app`. */
const OWNER = 'topclients';

/** A PostgreSQL cluster run by CloudNativePG, and the databases in it. */
export function postgresCnpg(scope: Construct, platform: Platform): void {
  const { cnpg } = platform.spec.postgres;
  const pods = cnpgPods(platform, cnpg.pod, names.postgres);
  new ApiObject(scope, 'postgres', {
    apiVersion,
    kind: 'Cluster',
    metadata: metadataOf(platform, names.postgres, component),
    spec: {
      instances: cnpg.instances,
      ...(cnpg.image ? { imageName: cnpg.image } : {}),
      storage: {
        size: cnpg.storage.size,
        ...(cnpg.storage.className ? { storageClass: cnpg.storage.className } : {}),
      },
      resources: cnpg.resources,
      postgresql: { parameters: { max_connections: String(cnpg.maxConnections) } },
      // One user for each purpose; `migrate` grants their rights.
      managed: {
        roles: accounts().map(({ name, secret }) => ({
          name,
          ensure: 'present',
          login: true,
          passwordSecret: { name: secret },
        })),
      },
      bootstrap: { initdb: { database: databaseOn.source, owner: OWNER } },
      affinity: {
        enablePodAntiAffinity: true,
        topologyKey: 'kubernetes.io/hostname',
        podAntiAffinityType: 'preferred',
        ...pods.affinity,
      },
      ...pods.spec,
    },
  });
  // The source's database was created with the cluster.
  for (const database of DATABASES.filter((one) => one !== 'source')) {
    const name = databaseOn[database];
    new ApiObject(scope, `database-${name}`, {
      apiVersion,
      kind: 'Database',
      metadata: metadataOf(platform, `${names.postgres}-${name.replaceAll('_', '-')}`, component),
      spec: {
        name,
        owner: OWNER,
        cluster: { name: names.postgres },
        // Deleting the object keeps the data.
        databaseReclaimPolicy: 'retain',
      },
    });
  }
}
