/**
 * Brokers of Kafka that fail under load: three of them, real ones, in the cluster. `make under-load ARGS=brokers`.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { run } from '../../support/run.ts';
import { Cluster } from '../cluster.ts';
import { keepEvidence } from '../evidence.ts';
import { Visitor } from '../visitor.ts';
import { Brokers } from './brokers.ts';
import { compareView } from './comparison.ts';
import { failuresOf, install, type Outcome, PAGES, under, watchLateness } from './load.ts';

jest.setTimeout(900_000);

const IMAGE = process.env['IMAGE'] ?? 'top-clients:dev';
/** Longer than the brokers wait for one of them (9 s), and than any time-out of ours. */
const AWAY_MS = 45_000;
/**
 * Nobody waits until a broker is back, only until the others have another leader. Where the silent one is the active
 * controller as well, a relay that starts meanwhile waits longer: for an id of its producer (docs/faults.md).
 */
const LATEST_MS = 60_000;

const cluster = new Cluster(process.env['E2E_NAMESPACE'] ?? 'top-clients-brokers');
const visitor = new Visitor(cluster);
const brokers = new Brokers(cluster);

beforeAll(async () => {
  await cluster.kubectl(['create', 'namespace', cluster.namespace]);
  const installed = install(cluster, IMAGE, [
    'topClients.kafka.mode=external',
    'topClients.kafka.partitions=6',
    `topClients.kafka.external.brokers={${brokers.addresses.join(',')}}`,
    // A repair would hide what was lost on the way.
    ...PAGES.map((page) => `pages.${page}.watch.repair=false`),
  ]);
  await Promise.all([brokers.start(), installed]);
  await brokers.inSync();
  await visitor.arrive(IMAGE);
});

afterAll(async () => {
  if (process.env['KEEP']) return;
  await keepEvidence(cluster, 'brokers').catch(() => {});
  await run('helm', ['--namespace', cluster.namespace, 'uninstall', 'top-clients'], { timeoutMs: 120_000 });
  await run('kubectl', ['delete', 'namespace', cluster.namespace, '--wait=false']);
});

/** No page failed, no seller read less than they wrote, each acknowledged change is on the topic, and views equal the source. */
async function whileAllGoesOn(happens: () => Promise<void>): Promise<void> {
  const stopWatching = watchLateness(cluster);
  const outcome = await under({ cluster, visitor }, happens);
  const verdicts = [];
  for (const page of PAGES) {
    const { differing, caughtUp } = await compareView(cluster, page);
    verdicts.push({ page, differing, caughtUp });
  }
  const shownAfterMs = await stopWatching(outcome.written);
  console.log(`a change was shown after ${shownAfterMs} ms at most`);
  expect(verdicts).toEqual(PAGES.map((page) => ({ page, differing: 0, caughtUp: true })));
  expect(failuresOf(outcome)).toEqual([]);
  expect(shownAfterMs).toBeLessThan(LATEST_MS);
  const { wrong, stale, acknowledged } = outcome.written;
  expect({ wrong, stale }).toEqual({ wrong: [], stale: [] });
  expect(acknowledged.length).toBeGreaterThan(100);
  expect(await missingOnTopic(outcome)).toEqual([]);
}

/** What was acknowledged and the topic does not have, or has behind a later change. */
async function missingOnTopic({ written }: Outcome): Promise<readonly unknown[]> {
  const told = new Map<string, string>();
  const newest = new Map<number, number>();
  const disordered: string[] = [];
  for (const line of await brokers.messages(SELLER_EVENTS.topic)) {
    if (!line.startsWith('{')) continue;
    const { sellerId, version, change } = JSON.parse(line);
    const key = `${sellerId}/${version}`;
    // A copy of what was sent before may come at any time.
    if (!told.has(key) && version < (newest.get(sellerId) ?? 0)) disordered.push(key);
    told.set(key, change.client?.description ?? '');
    newest.set(sellerId, Math.max(version, newest.get(sellerId) ?? 0));
  }
  const missing = written.acknowledged.filter(
    ({ seller, version, description }) => told.get(`${seller}/${version}`) !== description,
  );
  return [...missing, ...disordered];
}

test('a broker that is killed costs no page a visit and no seller a change', () =>
  whileAllGoesOn(async () => {
    const [pod] = brokers.pods;
    await brokers.kill(pod!);
    await brokers.ready(pod!);
    await brokers.inSync();
  }));

test('brokers that are restarted one after the other do neither', () =>
  whileAllGoesOn(async () => {
    for (const pod of brokers.pods) {
      await brokers.restart(pod);
      await brokers.ready(pod);
      await brokers.inSync(pod);
    }
  }));

test('nor does a zone that is out of reach, with its broker, a relay and a projector', () =>
  whileAllGoesOn(async () => {
    const pod = await brokers.leaderOf(SELLER_EVENTS.topic);
    await brokers.silence(pod);
    for (const component of ['outbox-relay', 'projector']) {
      const [one] = await cluster.list('pods', `app.kubernetes.io/component=${component}`);
      await cluster.kubectl(['delete', 'pod', one.metadata.name, '--force', '--grace-period=0']);
    }
    await delay(AWAY_MS);
    await brokers.resume(pod);
    await brokers.inSync();
  }));
