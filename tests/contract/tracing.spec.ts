/** What traces may cost a role: nothing when they are off, and little when their collector is in trouble. */
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { type Collector, startCollector } from '../../services/local-stack/collector.ts';
import { until } from '../../services/local-stack/until.ts';
import {
  ISOLATED_ROLES,
  type IsolatedRole,
  type IsolatedRoles,
  openIsolatedRoles,
} from '../support/isolated-roles.ts';

/**
 * Says what is loaded of OpenTelemetry, by any way a module can be. Its API, which does nothing by itself, is loaded by
 * prom-client in any case.
 */
const WATCH = `data:text/javascript,${encodeURIComponent(`
  import { registerHooks } from 'node:module';
  registerHooks({
    load(url, context, next) {
      if (/@opentelemetry\\/(?!api\\/)/.test(url)) process.stderr.write('LOADS ' + url + '\\n');
      return next(url, context);
    },
  });
`)}`;

let roles: IsolatedRoles;
let collector: Collector;
beforeAll(async () => {
  roles = await openIsolatedRoles();
});
afterEach(() => (collector as Collector | undefined)?.close());
afterAll(() => roles.stop());

const start = (role: IsolatedRole, env: Readonly<Record<string, string>> = {}) =>
  roles.start(role, env, ['--import', WATCH]);

test.each(Object.keys(ISOLATED_ROLES) as IsolatedRole[])(
  "%s loads nothing of OpenTelemetry's SDK until it is given an endpoint",
  async (role) => {
    const [off, empty, on] = await Promise.all([
      start(role),
      start(role, { OTEL_EXPORTER_OTLP_ENDPOINT: '' }),
      start(role, { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' }),
    ]);
    const loaded = await Promise.all([off, empty, on].map(async ({ log }) => /^LOADS /m.test(await log())));
    expect(loaded).toEqual([false, false, true]);
  },
);

test('the last spans are sent before the process ends', async () => {
  collector = await startCollector();
  const { process, url } = await start('top-clients', {
    OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/`,
    OTEL_TRACES_SAMPLER_ARG: '1',
  });
  await fetch(`${url}/v1/nowhere`);
  expect(await process.stop()).toEqual({ code: 0, signal: null });
  expect(collector.spans).toMatchObject([
    { service: 'top-clients', kind: 'server', attributes: { 'http.response.status_code': 404 } },
  ]);
});

test('a collector that hangs neither slows the answers nor holds up the end', async () => {
  collector = await startCollector();
  collector.hang();
  const { process, url, log } = await start('top-clients', {
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_TRACES_SAMPLER_ARG: '1',
    TC_REQUESTS_PER_MINUTE: '0',
  });
  // More than may wait to be sent.
  const longest = { ms: 0 };
  for (let i = 0; i < 60; i++) {
    const began = performance.now();
    const statuses = await Promise.all(
      Array.from({ length: 50 }, () => fetch(`${url}/v1/nowhere`).then((answer) => answer.status)),
    );
    expect(new Set(statuses)).toEqual(new Set([404]));
    longest.ms = Math.max(longest.ms, performance.now() - began);
  }
  await until('it was asked', () => collector.requests > 0);
  expect(longest.ms).toBeLessThan(2_000);
  const began = performance.now();
  expect(await process.stop()).toEqual({ code: 0, signal: null });
  // Three seconds for the last spans, and what an end takes anyway.
  expect(performance.now() - began).toBeLessThan(6_000);
  expect((await log()).split('\n').filter((line) => line.includes('traces are lost')).length).toBeLessThan(2);
});
