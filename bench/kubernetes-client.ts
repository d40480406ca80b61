/**
 * `node bench/kubernetes-client.ts [--runs 9]`: what a Kubernetes client, ours or `@kubernetes/client-node`, costs a
 * process before its first request: resident memory and CPU time from the start, as minimum, median and maximum.
 * Interleaved runs, compiled code cached as in the image. The figures of `docs/adr/kubernetes-client.md`.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { median } from './report.ts';

/** Each opens a client for an API server that does not exist, and sends no request. */
const CLIENTS = {
  'node alone': async () => {},
  undici: async () => {
    const { Pool } = await import('undici');
    new Pool('http://127.0.0.1:1');
  },
  ours: async () => {
    const { openApi } = await import('../services/operator/runtime/api.ts');
    const { openKube } = await import('../services/operator/runtime/client.ts');
    const { startInformer } = await import('../services/operator/runtime/informer.ts');
    openKube(openApi({ server: new URL('http://127.0.0.1:1'), tls: {}, headers: async () => ({}) }));
    return startInformer;
  },
  '@kubernetes/client-node': async () => {
    const { KubeConfig, KubernetesObjectApi, makeInformer } = await import('@kubernetes/client-node');
    const config = new KubeConfig();
    config.loadFromOptions({
      clusters: [{ name: 'c', server: 'http://127.0.0.1:1' }],
      users: [{ name: 'u' }],
      contexts: [{ name: 'x', cluster: 'c', user: 'u' }],
      currentContext: 'x',
    });
    KubernetesObjectApi.makeApiClient(config);
    return makeInformer;
  },
} as const;
type Name = keyof typeof CLIENTS;
const NAMES = Object.keys(CLIENTS) as Name[];

const { values: flags } = parseArgs({
  options: { runs: { type: 'string', default: '9' }, only: { type: 'string' } },
});
if (flags.only !== undefined) {
  await CLIENTS[flags.only as Name]();
  globalThis.gc?.();
  const { user, system } = process.cpuUsage();
  process.stdout.write(
    JSON.stringify({ rss: process.memoryUsage().rss / 2 ** 20, cpu: (user + system) / 1_000 }),
  );
  process.exit();
}

const cache = mkdtempSync(join(tmpdir(), 'kubernetes-client-'));
const measure = (name: Name): { rss: number; cpu: number } =>
  JSON.parse(
    execFileSync(process.execPath, ['--expose-gc', import.meta.filename, '--only', name], {
      encoding: 'utf8',
      env: { ...process.env, NODE_COMPILE_CACHE: cache },
      stdio: ['ignore', 'pipe', 'ignore'],
    }),
  );
const seen = new Map(NAMES.map((name) => [name, [] as { rss: number; cpu: number }[]]));
// The first run of each fills the cache of compiled code.
for (const name of NAMES) measure(name);
for (let run = 0; run < Number(flags.runs); run++)
  for (const name of NAMES) seen.get(name)!.push(measure(name));
rmSync(cache, { recursive: true });

const of = (values: number[]) =>
  [Math.min(...values), median(values), Math.max(...values)].map((value) => value.toFixed(0)).join(', ');
process.stdout.write('| client | resident, MiB | CPU time of the start, ms |\n| --- | --- | --- |\n');
for (const [name, all] of seen) {
  process.stdout.write(`| ${name} | ${of(all.map(({ rss }) => rss))} | ${of(all.map(({ cpu }) => cpu))} |\n`);
}
