/**
 * Passwords, credentials and authorities that change under visits and writes. `make under-load
 * ARGS=rotation`.
 */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { type Authority, makeAuthority } from '../../support/authority.ts';
import { run } from '../../support/run.ts';
import { Cluster, until } from '../cluster.ts';
import { keepEvidence } from '../evidence.ts';
import { NODE, Visitor } from '../visitor.ts';
import { Brokers } from './brokers.ts';
import { ExternalPostgres } from './external-postgres.ts';
import { install, under } from './load.ts';
import type { Written } from './writer.ts';

jest.setTimeout(600_000);

const IMAGE = process.env['IMAGE'] ?? 'top-clients:dev';
const PAGES = ['gig', 'user'] as const;
const SECRETS_ANNOTATION = 'topclients.dev/secrets';
/** One page reads its own database, the other asks the source at each visit: as who it says that it is. */
const URLS = ['http://top-clients-page-gig:8080/gigs/1', 'http://top-clients-page-user:8080/users/1'];
/** The users of PostgreSQL that have a secret here. */
const USERS = ['source', 'page', 'projector'] as const;
const secretOf = (user: string) => `databases-${user}`;
const DATABASES_OF_USERS = USERS.map(secretOf);

const cluster = new Cluster(process.env['E2E_NAMESPACE'] ?? 'top-clients-rotation');
const visitor = new Visitor(cluster);
const postgres = new ExternalPostgres(cluster);
const brokers = new Brokers(cluster, { count: 1, isGuarded: true });
const LOAD = {
  ...{ cluster, visitor, beforeMs: 0, afterMs: 0 },
  ...{ sellers: [101, 102, 103, 104, 105], writesPerSecond: 2 },
  ...{ urls: URLS, visitsPerSecond: 10 },
};
let authorities: readonly [Authority, Authority];

/** What servers show that this authority vouches for. */
const shownBy = async (authority: Authority) => ({
  postgres: await authority.sign(`DNS:${postgres.host}`),
  kafka: await authority.sign(...brokers.hosts.map((host) => `DNS:${host}`)),
});
async function trust(...trusted: readonly Authority[]): Promise<string> {
  const all = (await Promise.all(trusted.map(({ caFile }) => readFile(caFile, 'utf8')))).join('');
  await keepSecret('authorities', { 'ca.crt': all });
  return all;
}
const keepSecret = (name: string, stringData: Readonly<Record<string, string>>) =>
  cluster.apply({ apiVersion: 'v1', kind: 'Secret', metadata: { name }, stringData });
const signInToKafkaAs = (username: string, password: string) =>
  keepSecret('kafka-user', { username, password });

beforeAll(async () => {
  await cluster.kubectl(['create', 'namespace', cluster.namespace]);
  authorities = [await makeAuthority('first'), await makeAuthority('second')];
  const shown = await shownBy(authorities[0]);
  await brokers.show(shown.kafka);
  await Promise.all([postgres.start(shown.postgres), brokers.start()]);
  await trust(authorities[0]);
  for (const user of USERS) {
    await postgres.query(`create role ${user}_a login password 'first'`);
    await postgres.keepAddresses(secretOf(user), `${user}_a`, 'first');
  }
  await brokers.admit('first', 'first');
  await signInToKafkaAs('first', 'first');
  await install(
    cluster,
    IMAGE,
    [
      'topClients.postgres.mode=external',
      'topClients.postgres.external.existingSecret=databases',
      'topClients.postgres.external.caSecret=authorities',
      ...USERS.map((user) => `topClients.postgres.external.userSecrets.${user}=${secretOf(user)}`),
      'topClients.kafka.mode=external',
      'topClients.kafka.replication=1',
      `topClients.kafka.external.brokers={${brokers.addresses.join(',')}}`,
      'topClients.kafka.external.tls.existingSecret=authorities',
      'topClients.kafka.external.sasl.mechanism=scram-sha-512',
      'topClients.kafka.external.sasl.existingSecret=kafka-user',
      // A page that the source took for a stranger would lack its data within seconds.
      'topClients.source.requestsPerMinute=60',
      'pages.user.delivery=synchronous',
    ],
    PAGES,
  );
  await until(
    'the made-up data is there',
    async () => (await cluster.condition('topclients/top-clients', 'Progressing'))?.status === 'False',
    300_000,
  );
  await visitor.arrive(IMAGE);
});

let failed = false;
afterAll(async () => {
  for (const authority of authorities ?? []) await authority.close();
  if (failed) await keepEvidence(cluster, 'rotation').catch(() => {});
  await run('helm', ['--namespace', cluster.namespace, 'uninstall', 'top-clients'], { timeoutMs: 120_000 });
  await run('kubectl', ['delete', 'namespace', cluster.namespace, '--timeout=180s'], { timeoutMs: 200_000 });
});

/** The annotation that a pod template carries for what a pod was given as it started. */
const annotationOf = async (deployment: string, name: string): Promise<string | undefined> =>
  (await cluster.get('deployments', deployment)).spec.template.metadata.annotations?.[name];

/** The Deployments whose pods are given one of these secrets as they start. */
async function usersOf(secrets: readonly string[]): Promise<readonly string[]> {
  const deployments = await cluster.list('deployments');
  const using = deployments.filter(({ spec }) =>
    spec.template.spec.containers.some(({ env = [] }: { env?: readonly EnvironmentVariable[] }) =>
      env.some(({ valueFrom }) => secrets.includes(valueFrom?.secretKeyRef?.name ?? '')),
    ),
  );
  expect(using.length).toBeGreaterThan(1);
  return using.map(({ metadata }) => metadata.name);
}
interface EnvironmentVariable {
  readonly valueFrom?: { readonly secretKeyRef?: { readonly name: string } };
}

/** Runs `change`, and waits until no pod of before is left of the Deployments that use what it changed. */
async function rollsOut(
  deployments: readonly string[],
  annotation: string,
  change: () => Promise<unknown>,
): Promise<void> {
  const before = new Map<string, string | undefined>();
  for (const name of deployments) before.set(name, await annotationOf(name, annotation));
  await change();
  await until(
    `${deployments.join(', ')} are rolled out`,
    async () => {
      for (const name of deployments)
        if ((await annotationOf(name, annotation)) === before.get(name)) return false;
      return true;
    },
    180_000,
  );
  for (const name of deployments) {
    await cluster.kubectl(['rollout', 'status', `deployment/${name}`, '--timeout=180s'], {
      timeoutMs: 190_000,
    });
  }
}

/** Waits until every pod that trusts authorities has these. */
async function reachesAll(authoritiesNow: string): Promise<void> {
  const pods = (await cluster.list('pods', 'app.kubernetes.io/part-of=top-clients')).flatMap(
    ({ metadata, spec, status }) =>
      status.phase === 'Running' && !metadata.deletionTimestamp
        ? trustsAt(spec).map((file) => [metadata.name, file] as const)
        : [],
  );
  expect(pods.length).toBeGreaterThan(5);
  const read = 'process.stdout.write(require("node:fs").readFileSync(process.argv[1], "utf8"))';
  for (const [pod, file] of pods) {
    await until(
      `${pod} trusts the authorities of now in ${file}`,
      async () => (await cluster.kubectl(['exec', pod, '--', NODE, '--eval', read, file])) === authoritiesNow,
      180_000,
      2_000,
    );
  }
}
function trustsAt({ containers, volumes }: PodSpec): readonly string[] {
  const named = volumes.filter(({ secret }) => secret?.secretName === 'authorities').map(({ name }) => name);
  const mounts = containers.flatMap(({ volumeMounts = [] }) => volumeMounts);
  return mounts.filter(({ name }) => named.includes(name)).map(({ mountPath }) => `${mountPath}/ca.crt`);
}
interface PodSpec {
  readonly containers: readonly {
    readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
  }[];
  readonly volumes: readonly { readonly name: string; readonly secret?: { readonly secretName: string } }[];
}

/** Waits until the view has the last version of each seller who wrote. */
async function isShown({ acknowledged }: Written): Promise<void> {
  const versions = new Map(acknowledged.map(({ seller, version }) => [seller, version]));
  const wanted = [...versions].map(
    ([seller, version]) => `(seller_id = ${seller} and version >= ${version})`,
  );
  const view = `select count(*) from top_clients_asynchronous_v1.top_clients where ${wanted.join(' or ')}`;
  await until(
    'the view of gig has what was written',
    async () => Number(await postgres.query(view, 'gig')) === versions.size,
    60_000,
  );
}

/** Everybody who visits or writes while `work` is done is served, with all data. */
async function withoutAFailedRequest(work: () => Promise<void>): Promise<void> {
  try {
    const { written, visits } = await under(LOAD, work);
    for (const [url, { requests, outcomes, failures, incomplete }] of Object.entries(visits)) {
      expect({ url, failures, incomplete, outcomes: Object.keys(outcomes) }).toEqual({
        url,
        failures: [],
        incomplete: [],
        outcomes: ['full'],
      });
      expect(requests).toBeGreaterThan(100);
    }
    const { wrong, stale, repeated } = written;
    expect({ wrong, stale, repeated }).toEqual({ wrong: [], stale: [], repeated: [] });
    expect(written.acknowledged.length).toBeGreaterThan(20);
    await isShown(written);
  } catch (err) {
    failed = true;
    throw err;
  }
}

test('with a second user of PostgreSQL each, no request fails, and nobody signs in as the first any more', async () => {
  expect(await postgres.signedIn()).toEqual(expect.arrayContaining(USERS.map((user) => `${user}_a`)));
  await withoutAFailedRequest(async () => {
    await rollsOut(await usersOf(DATABASES_OF_USERS), SECRETS_ANNOTATION, async () => {
      for (const user of USERS) {
        await postgres.query(`create role ${user}_b login password 'second' in role ${user}_a`);
        await postgres.keepAddresses(secretOf(user), `${user}_b`, 'second');
      }
    });
    for (const user of USERS) await postgres.query(`alter role ${user}_a nologin`);
    await until(
      'the first users have left',
      async () => !(await postgres.signedIn()).some((user) => user.endsWith('_a')),
      60_000,
    );
  });
  expect(await postgres.signedIn()).toEqual(expect.arrayContaining(USERS.map((user) => `${user}_b`)));
});

test('with another password of the same users, no request fails', async () => {
  await withoutAFailedRequest(async () =>
    rollsOut(await usersOf(DATABASES_OF_USERS), SECRETS_ANNOTATION, async () => {
      for (const user of USERS) await postgres.query(`alter role ${user}_b password 'third'`);
      for (const user of USERS) await postgres.keepAddresses(secretOf(user), `${user}_b`, 'third');
    }),
  );
});

test('with another user of Kafka, no request fails, and what is written is shown', async () => {
  await withoutAFailedRequest(async () => {
    await brokers.admit('second', 'second');
    await rollsOut(await usersOf(['kafka-user']), SECRETS_ANNOTATION, () =>
      signInToKafkaAs('second', 'second'),
    );
    // Not deleted: a broker of Kafka 4.3 that starts after that knows nobody until the next change of a user.
    await brokers.admit('first', 'nobody knows');
    // Those who are in stay in: now nobody is.
    await brokers.restart(brokers.pods[0]!);
    await brokers.ready(brokers.pods[0]!);
  });
});

test('with another authority of PostgreSQL and Kafka, no pod starts anew and no request fails', async () => {
  const [first, second] = authorities;
  const started = async () =>
    (await cluster.list('pods', 'app.kubernetes.io/part-of=top-clients'))
      .map(({ metadata }) => metadata.uid)
      .sort();
  const before = await started();
  await withoutAFailedRequest(async () => {
    await reachesAll(await trust(first, second));
    const shown = await shownBy(second);
    await brokers.show(shown.kafka);
    await postgres.show(shown.postgres);
    for (const trusted of [[first, second], [second]]) {
      await reachesAll(await trust(...trusted));
      await postgres.endSessions();
      await brokers.restart(brokers.pods[0]!);
      await brokers.ready(brokers.pods[0]!);
    }
  });
  expect(await started()).toEqual(before);
});

test('while the keys of callers are exchanged twice, the source knows each page all the time', async () => {
  const callers = ['top-clients', 'top-clients-page-gig', 'top-clients-page-user'];
  await withoutAFailedRequest(async () => {
    for (const round of ['first', 'second']) {
      await rollsOut(callers, 'topclients.dev/callers-rotated', () =>
        cluster.kubectl([
          ...['annotate', 'topclients/top-clients', '--overwrite'],
          `topclients.dev/rotate-callers=${round}`,
        ]),
      );
    }
  });
});
