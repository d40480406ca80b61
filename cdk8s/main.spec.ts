import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { parseAllDocuments } from 'yaml';
import { CALLERS } from '#contracts/callers.ts';
import { credentialOf } from '../services/auth/caller-credential.ts';
import type { KubeObject } from './kube-object.ts';
import { pageObjects, platformObjects } from './manifests.ts';
import { readValues } from './values.ts';

const ROOT = new URL('..', import.meta.url).pathname;
const VALUES = join(ROOT, 'charts/top-clients/values.yaml');
const DEMO = join(ROOT, 'charts/top-clients/examples/demo.yaml');
const demo = ['--values', VALUES, '--values', DEMO];
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'manifests-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const run = (...args: string[]) =>
  spawnSync(process.execPath, ['cdk8s/main.ts', ...args], { cwd: ROOT, encoding: 'utf8', timeout: 30_000 });
/** As readers of YAML 1.1 see it, kubectl among them: `off` is false there. */
const parsed = (text: string) =>
  parseAllDocuments(text, { version: '1.1' }).map((document) => document.toJS() as KubeObject);

test('writes the very objects that the operator applies, in the order in which they are needed', () => {
  const out = join(folder, 'all');
  const { status, stderr } = run(...demo, '--namespace', 'shop', '--image', 'top-clients:v1', '--out', out);
  expect(stderr).toContain('kubectl -n shop create secret generic top-clients-postgres');
  expect(stderr).toContain('kubectl -n shop create secret generic top-clients-issuer');
  expect(stderr).toContain('for user in top_clients_source top_clients_relay');
  expect(status).toBe(0);
  const files = readdirSync(out).sort();
  const objects = files.flatMap((name) => parsed(readFileSync(join(out, name), 'utf8')));

  const { platform, pages } = readValues(
    [VALUES, DEMO].map((file) => ({ file, text: readFileSync(file, 'utf8') })),
    {
      namespace: 'shop',
      image: 'top-clients:v1',
      capabilities: { keda: false, monitoring: false },
    },
  );
  const ours = platformObjects(platform);
  const theirs = pages
    .map((page) => ({ name: page.name, objects: pageObjects(platform, page) }))
    .sort((a, b) => a.name.localeCompare(b.name));
  expect(objects).toEqual([
    ...ours.ground,
    ...ours.stores,
    ...ours.migrations,
    ...theirs.flatMap((page) => page.objects.migrations),
    ...ours.workloads,
    ...theirs.flatMap((page) => page.objects.workloads),
    ...ours.seeding,
    ...['availability', 'callers', 'consistency', 'operator', 'overview', 'pipeline', 'stores'].map((name) =>
      expect.objectContaining({
        kind: 'ConfigMap',
        metadata: expect.objectContaining({
          name: `top-clients-dashboard-${name}`,
          labels: expect.objectContaining({ grafana_dashboard: '1' }),
          annotations: { grafana_folder: 'Top Clients' },
        }),
        data: {
          [`topclients-${name}.json`]: readFileSync(
            join(ROOT, `charts/top-clients/dashboards/topclients-${name}.json`),
            'utf8',
          ),
        },
      }),
    ),
  ]);
});

test('removes what it wrote before and would not write again, and nothing else', () => {
  const out = join(folder, 'again');
  run(...demo, '--namespace', 'shop', '--out', out);
  expect(readdirSync(out)).toContain('41-workloads-gig.yaml');
  writeFileSync(join(out, 'mine.yaml'), 'kind: Namespace\n');
  const without = join(folder, 'without.yaml');
  writeFileSync(without, 'pages: { gig: null }\n');
  run(...demo, '--values', without, '--namespace', 'shop', '--out', out);
  const files = readdirSync(out);
  expect(files).toContain('mine.yaml');
  expect(files).toContain('41-workloads-user.yaml');
  expect(files.filter((name) => name.includes('gig'))).toEqual([]);
});

test('what it tells to make of a shell is what the source knows', () => {
  const { stderr } = run(...demo, '--namespace', 'shop');
  const line = stderr.split('\n').find((one) => one.includes('top-clients-callers'))!;
  // Instead of making it, says with what.
  const script = line.trim().replace(/kubectl .* --from-literal=key/, 'printf "%s\\n" --from-literal=key');
  const { stdout } = spawnSync('sh', ['-c', script], { encoding: 'utf8' });
  const made = Object.fromEntries(
    stdout
      .trim()
      .split('\n')
      .map((one) => one.replace('--from-literal=', '').split('=') as [string, string]),
  );
  const { key, ...credentials } = made;
  expect(credentials).toEqual(
    Object.fromEntries(CALLERS.map((caller) => [caller, credentialOf(key!, caller)])),
  );
});

test('the values as they are give nothing, but the two ways on', () => {
  const { status, stdout, stderr } = run('--namespace', 'shop', '--image', 'top-clients:v1');
  expect(stderr).toContain('profile production refuses an embedded Kafka');
  expect(stderr).toContain('or profile to demo');
  expect(stdout).toBe('');
  expect(status).toBe(2);
});

test('asks for no secret that the values bring along', () => {
  const file = join(folder, 'own.yaml');
  writeFileSync(
    file,
    `topClients:
  postgres: { mode: external, external: { existingSecret: mine } }
  auth: { demoIssuer: false, issuer: https://a.example.com, jwksUrl: https://a.example.com/keys }
  source: { callers: { existingSecret: mine } }
  publicUrls: { selfView: https://my.example.com }
`,
  );
  const { status, stderr, stdout } = run(...demo, '--values', file, '--namespace', 'shop');
  expect(status).toBe(0);
  expect(stderr).toBe('');
  expect(parsed(stdout).length).toBeGreaterThan(20);
});

test.each([
  ['no namespace', [], 'name the namespace: --namespace NAME'],
  ['an unknown flag', ['--namespace', 'shop', '--kedda'], "Unknown option '--kedda'"],
  ['a file that is not there', ['--namespace', 'shop', '--values', 'nowhere.yaml'], 'nowhere.yaml'],
])('%s ends with a sentence and status 2', (_, args, told) => {
  const { status, stderr } = run(...args);
  expect(stderr).toContain(told);
  expect(stderr).not.toContain('    at ');
  expect(status).toBe(2);
});
