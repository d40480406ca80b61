import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, expect, test } from '@jest/globals';
import { API_VERSION } from '#cdk8s/api/shared.ts';
import { DEMO } from '#cdk8s/testing/platforms.ts';
import { pause, Releases } from '#platform/lifecycle.ts';
import { silentLog } from '#platform/log.ts';
import { openMetrics } from '#role/metrics.ts';
import { freePort } from '../local-stack/ports.ts';
import { role } from './main.ts';
import type { Scope } from './scope.ts';
import { ApiServer } from './testing/api-server.ts';

const folder = mkdtempSync(join(tmpdir(), 'operator-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let server: ApiServer;
const running: { stop(): Promise<void> }[] = [];
let close: () => void;
beforeEach(async () => {
  server = new ApiServer();
  close = await server.open();
  writeFileSync(
    join(folder, 'config'),
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster: { server: server.url, 'insecure-skip-tls-verify': true } }],
      users: [{ name: 'u', user: {} }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    }),
  );
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.stop()));
  close();
});

/** An operator, as its process would run it. */
async function operate(namespace: string, watched?: Scope) {
  const releases = new Releases(silentLog);
  const metrics = openMetrics({ processMetrics: false });
  const [healthPort, failures] = [await freePort(), [] as unknown[]];
  const config = {
    ...{
      namespace,
      watched,
      name: 'top-clients-operator',
      image: 'top-clients:1',
      podName: `${namespace}-0`,
    },
    ...{
      resyncSeconds: 300,
      kubeconfig: join(folder, 'config'),
      logLevel: 'error',
      healthPort,
      healthHost: '127.0.0.1',
    },
  };
  const context = {
    log: silentLog,
    version: '1',
    metrics,
    releases,
    fail: (err: unknown) => failures.push(err),
  };
  await role.start(config as never, context as never);
  const stop = async () => {
    await releases.unwind();
    expect(failures).toEqual([]);
  };
  running.push({ stop });
  return {
    stop: async () => {
      running.splice(0, running.length, ...running.filter((one) => one.stop !== stop));
      await stop();
    },
    readiness: async () => (await fetch(`http://127.0.0.1:${healthPort}/readyz`)).text(),
    /** Namespace → value. */
    samples: async (metric: string) =>
      Object.fromEntries(
        [
          ...(await metrics.registry.metrics()).matchAll(
            new RegExp(`^${metric}\\{namespace="(.*)"\\} (.*)$`, 'gm'),
          ),
        ].map(([, where, value]) => [where, Number(value)]),
      ),
  };
}

const platform = (namespace: string) =>
  server.put('topclients', {
    apiVersion: API_VERSION,
    kind: 'TopClients',
    metadata: { name: 'top-clients', namespace },
    spec: DEMO.topClients,
  } as never);
async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const began = performance.now();
  for (; !(await holds()); await pause(20))
    if (performance.now() - began > 30_000) throw new Error(`never: ${what}`);
}
const degraded = (namespace: string): string =>
  server
    .one('topclients', namespace, 'top-clients')
    ?.status?.conditions?.find(({ type }: { type: string }) => type === 'Degraded')?.message ?? '';
const isWorkedIn = (namespace: string) =>
  until(`${namespace} is worked in`, () => server.all('serviceaccounts', namespace).length > 3);

test('an operator works in its own namespace alone, and asks for no other', async () => {
  platform('shop');
  platform('mall');
  const operator = await operate('shop');
  await isWorkedIn('shop');
  const others = server.asked.filter(
    (one) =>
      !/\/namespaces\/shop(\/|$)/.test(one) && !/customresourcedefinitions|apis\/[^/]+\/[^/]+$/.test(one),
  );
  expect(others).toEqual([]);
  expect(await operator.samples('topclients_operator_leader')).toEqual({ shop: 1 });
});

test('one that is told namespaces works in each, and what it may not read in one holds up no other', async () => {
  server.forbidden.add('later');
  platform('shop');
  platform('mall');
  const operator = await operate('ops', ['shop', 'mall', 'later']);
  await Promise.all(['shop', 'mall'].map(isWorkedIn));
  expect(await operator.samples('topclients_operator_leader')).toEqual({ shop: 1, mall: 1 });
  expect(await operator.readiness()).toMatch(/of later: not listed yet: .*403/);
  expect(server.all('leases', 'ops')).toEqual([]);
  server.forbidden.delete('later');
});

test('one of all namespaces follows platforms as they come and go, by one watch a kind', async () => {
  platform('shop');
  const operator = await operate('ops', 'all');
  await isWorkedIn('shop');
  platform('mall');
  await isWorkedIn('mall');
  expect(await operator.samples('topclients_operator_leader')).toEqual({ shop: 1, mall: 1 });
  expect(
    server.asked.filter((one) => /^GET .*\/namespaces\/[^/]+\/deployments$/.test(one)).length,
  ).toBeLessThan(3);
  server.remove('topclients', 'mall', 'top-clients');
  await until('it leaves', async () => !('mall' in (await operator.samples('topclients_operator_leader'))));
  expect(server.one('leases', 'mall', 'top-clients-operator')?.spec.holderIdentity).toBeUndefined();
  expect(await operator.samples('topclients_operator_leader')).toEqual({ shop: 1 });
});

test('of two that are to work in one namespace one does, and both are named there', async () => {
  platform('shop');
  platform('mall');
  const own = await operate('shop');
  await isWorkedIn('shop');
  const wide = await operate('ops', ['shop', 'mall']);
  await isWorkedIn('mall');
  await until('the overlap is told', () => degraded('shop').includes('would as well'));
  expect(degraded('shop')).toContain(
    'the operator shop/top-clients-operator works in this namespace, and ops/',
  );
  expect(degraded('mall')).not.toContain('would as well');
  expect(await wide.samples('topclients_operator_leader')).toEqual({ shop: 0, mall: 1 });
  expect(await wide.samples('topclients_operator_overlap')).toEqual({ shop: 1, mall: 0 });
  const told = server.all('events', 'shop').filter((event) => event['reason'] === 'OperatorsOverlap');
  expect(told.map((event) => event['type'])).toContain('Warning');
  // Its next start finds the namespace as it was left.
  await own.stop();
  const next = await operate('shop');
  await until('it leads again', async () => (await next.samples('topclients_operator_leader'))['shop'] === 1);
  expect((await wide.samples('topclients_operator_leader'))['shop']).toBe(0);
});
