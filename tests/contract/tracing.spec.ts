/** What traces may cost a role: nothing when they are off, and little when their collector is in trouble. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { freePort } from '../../services/local-infra/ports.ts';
import { type ManagedProcess, startProcess } from '../../services/local-infra/process.ts';
import { type Collector, startCollector } from '../support/collector.ts';
import { until } from '../support/pipeline.ts';

const MAIN = fileURLToPath(new URL('../../services/main.ts', import.meta.url));
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
const NOBODY = 'postgresql://nobody@127.0.0.1:1/nothing';
const PAGE = { TC_PAGE: 'gig', TC_DATABASE_URL: NOBODY };
/** Each serves its health port whether or not anybody answers it. */
const ROLES = {
  'top-clients': {
    TC_DATABASE_URL: NOBODY,
    TC_JWKS_URL: 'http://127.0.0.1:1/',
    TC_JWT_ISSUER: 'i',
    TC_JWT_AUDIENCE: 'a',
  },
  'outbox-relay': { TC_DATABASE_URL: NOBODY, TC_KAFKA_BROKERS: '127.0.0.1:1' },
  projector: { ...PAGE, TC_KAFKA_BROKERS: '127.0.0.1:1' },
  'page-server': { ...PAGE, TC_SOURCE_URL: 'http://127.0.0.1:1' },
} as const;
type RoleName = keyof typeof ROLES;

let folder: string;
let collector: Collector;
const running: ManagedProcess[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tracing-'));
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((one) => one.stop()));
  await collector?.close();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function start(role: RoleName, env: Readonly<Record<string, string>> = {}) {
  const [port, healthPort] = [await freePort(), await freePort()];
  const served = role === 'top-clients' || role === 'page-server';
  const logFile = join(folder, `${role}-${healthPort}.log`);
  const process = await startProcess({
    name: role,
    command: globalThis.process.execPath,
    args: ['--import', WATCH, MAIN, role],
    env: {
      NODE_OPTIONS: undefined,
      TC_HEALTH_PORT: String(healthPort),
      ...(served ? { TC_PORT: String(port) } : {}),
      ...ROLES[role],
      ...env,
    },
    logFile,
    readyUrl: `http://127.0.0.1:${healthPort}/livez`,
  });
  running.push(process);
  return {
    process,
    url: `http://127.0.0.1:${port}`,
    log: () => readFile(logFile, 'utf8'),
    loaded: async () => ((await readFile(logFile, 'utf8')).match(/^LOADS .*/gm) ?? []).length > 0,
  };
}

test.each(Object.keys(ROLES) as RoleName[])(
  "%s loads nothing of OpenTelemetry's SDK until it is given an endpoint",
  async (role) => {
    const [off, empty, on] = await Promise.all([
      start(role),
      start(role, { OTEL_EXPORTER_OTLP_ENDPOINT: '' }),
      start(role, { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' }),
    ]);
    expect([await off.loaded(), await empty.loaded(), await on.loaded()]).toEqual([false, false, true]);
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
