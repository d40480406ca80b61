import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import type { DatabaseName, Platform } from '../platform.ts';
import { accounts, databaseOn } from './database-access.ts';
import { type DatabaseServer, databaseServers, ownerSecret } from './database-servers.ts';
import { fingerprint } from './fingerprint.ts';
import { EVERY_FAMILY } from './http-service.ts';
import { labelsOf, metadataOf, podLabelsOf, selectorOf } from './labels.ts';
import { podSettingsOf, withPodSettings } from './pod-settings.ts';
import { claimRetention } from './retention.ts';
import { podGround, RESTRICTED_CONTAINER, restrictedPod } from './role-pod.ts';

const component = 'postgres';
/** The user of the public image. */
const USER = 999;
const SCRIPTS_FOLDER = '/etc/top-clients-postgres';
/** A subfolder: the volume itself may hold a lost+found, and the image's default changes with the major version. */
const DATA_FOLDER = '/var/lib/postgresql';
/** On its pods: changes with the passwords in the secrets. */
export const PASSWORDS_ANNOTATION = 'topclients.dev/passwords';

/** Servers with their databases, a volume each. For development: while one restarts nobody stands in for it. */
export function postgresEmbedded(scope: Construct, platform: Platform): void {
  for (const server of databaseServers(platform)) embeddedServer(scope, platform, server);
}

function embeddedServer(scope: Construct, platform: Platform, server: DatabaseServer): void {
  const { embedded } = platform.spec.postgres;
  const { name, instance, databases } = server;
  const metadata = metadataOf(platform, name, component, instance);
  const selector = selectorOf(component, instance);
  const scripts = { 'databases.sql': databasesSql(databases), 'create-databases.sh': CREATE_DATABASES };
  new ApiObject(scope, `${instance}-scripts`, {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata,
    data: scripts,
  });
  new ApiObject(scope, `${instance}-service`, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata,
    spec: {
      ...EVERY_FAMILY,
      selector,
      ports: [{ name: 'postgres', port: 5432, targetPort: 'postgres', protocol: 'TCP' }],
    },
  });
  const secret = (variable: string, key: string, from = ownerSecret(platform, server)) => ({
    name: variable,
    valueFrom: { secretKeyRef: { name: from, key } },
  });
  const accepts = {
    // Over TCP: the temporary server that the image starts to initialise listens only on a socket.
    exec: { command: ['pg_isready', '--quiet', '--host=localhost', '--port=5432'] },
    timeoutSeconds: 5,
  };
  new ApiObject(scope, instance, {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata,
    spec: {
      replicas: embedded.replicas,
      serviceName: name,
      persistentVolumeClaimRetentionPolicy: claimRetention(platform),
      selector: { matchLabels: selector },
      template: withPodSettings(platform, podSettingsOf(platform, embedded.pod), selector, {
        metadata: {
          labels: podLabelsOf(component, instance),
          // Databases, users and passwords are set when the server starts, so a change must restart it.
          annotations: {
            'topclients.dev/configuration': fingerprint(scripts),
            ...(platform.passwords ? { [PASSWORDS_ANNOTATION]: platform.passwords } : {}),
          },
        },
        spec: {
          ...podGround(component),
          securityContext: restrictedPod(USER),
          terminationGracePeriodSeconds: 60,
          containers: [
            {
              name: component,
              image: embedded.image,
              imagePullPolicy: 'IfNotPresent',
              args: ['-c', `max_connections=${embedded.maxConnections}`],
              env: [
                secret('POSTGRES_USER', 'username'),
                secret('POSTGRES_PASSWORD', 'password'),
                ...accounts(databases).map((one) => secret(passwordOf(one.name), 'password', one.secret)),
                { name: 'POSTGRES_DB', value: databaseOn[databases[0]!] },
                // The encoding of its databases, whatever the image's default: names are UTF-8.
                { name: 'LANG', value: 'C.UTF-8' },
                { name: 'PGDATA', value: `${DATA_FOLDER}/pgdata` },
              ],
              ports: [{ name: 'postgres', containerPort: 5432 }],
              resources: embedded.resources,
              securityContext: RESTRICTED_CONTAINER,
              terminationMessagePolicy: 'FallbackToLogsOnError',
              lifecycle: {
                postStart: { exec: { command: ['bash', `${SCRIPTS_FOLDER}/create-databases.sh`] } },
                // After the kubelet's SIGTERM alone the server would wait until the last client has disconnected.
                preStop: { exec: { command: ['pg_ctl', 'stop', '--mode=fast', '--timeout=45'] } },
              },
              startupProbe: { ...accepts, periodSeconds: 2, failureThreshold: 150 },
              livenessProbe: { ...accepts, periodSeconds: 10, failureThreshold: 6 },
              readinessProbe: { ...accepts, periodSeconds: 3, failureThreshold: 2 },
              volumeMounts: [
                { name: 'data', mountPath: DATA_FOLDER },
                { name: 'scripts', mountPath: SCRIPTS_FOLDER, readOnly: true },
                { name: 'socket', mountPath: '/var/run/postgresql' },
                { name: 'tmp', mountPath: '/tmp' },
                { name: 'shared-memory', mountPath: '/dev/shm' },
              ],
            },
          ],
          volumes: [
            { name: 'scripts', configMap: { name } },
            { name: 'socket', emptyDir: { sizeLimit: '1Mi' } },
            { name: 'tmp', emptyDir: { sizeLimit: '256Mi' } },
            // Parallel queries need shared memory; a container gets only 64 MiB by default.
            { name: 'shared-memory', emptyDir: { medium: 'Memory', sizeLimit: '128Mi' } },
          ],
        },
      }),
      volumeClaimTemplates: [
        {
          apiVersion: 'v1',
          kind: 'PersistentVolumeClaim',
          // A claim's template can never change, so it has no labels that do.
          metadata: { name: 'data', labels: labelsOf(component, instance) },
          spec: {
            accessModes: ['ReadWriteOnce'],
            ...(embedded.storage.className ? { storageClassName: embedded.storage.className } : {}),
            resources: { requests: { storage: embedded.storage.size } },
          },
        },
      ],
    },
  });
}

const passwordOf = (user: string) => `PASSWORD_OF_${user.toUpperCase()}`;

/** Databases, and who may sign in to them: only users to whom `migrate` grants something. */
function databasesSql(databases: readonly DatabaseName[]): string {
  const made = databases.map((one) => databaseOn[one]);
  const users = accounts(databases).map(
    ({ name }) => `\\getenv password ${passwordOf(name)}
select 'create role ${name}' where to_regrole('${name}') is null
\\gexec
alter role ${name} with login nosuperuser password :'password';
`,
  );
  return `select format('create database %I', wanted.name)
from unnest(array[${made.map((name) => `'${name}'`).join(', ')}]) as wanted (name)
where not exists (select from pg_database where datname = wanted.name)
\\gexec
${[...made, 'postgres'].map((name) => `revoke all on database "${name}" from public;\n`).join('')}${users.join('')}\\getenv owner POSTGRES_USER
\\getenv password POSTGRES_PASSWORD
alter role :"owner" with password :'password';
`;
}

/**
 * Runs at every start of the server; the image's own scripts run only at the first. So databases that are missing,
 * after an interrupted start or in a version with one more page, are created too, and a password that was lost is replaced
 * by the one that the secret has now: through the socket, by which the image lets the owner in without one. A failure
 * restarts the container.
 */
const CREATE_DATABASES = `set -eu
export PGHOST=/var/run/postgresql PGUSER="$POSTGRES_USER" PGPASSWORD="$POSTGRES_PASSWORD" PGDATABASE=postgres PGCONNECT_TIMEOUT=5
for attempt in $(seq 600); do
  if pg_isready --quiet --host=localhost; then
    exec psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --file=${SCRIPTS_FOLDER}/databases.sql
  fi
  sleep 0.2
done
echo 'PostgreSQL did not accept connections within two minutes' >&2
exit 1
`;
