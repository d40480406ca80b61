/** Every role that runs until it is stopped, as a process of this checkout or of another one, on one local system. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { eachPage, PAGE_NAMES } from '#contracts/pages.ts';
import type { LocalSystem } from '../services/local-stack/local-system.ts';
import { freePort } from '../services/local-stack/ports.ts';
import { type ManagedProcess, startProcess } from '../services/local-stack/process.ts';
import {
  describeRole,
  nameOf,
  type RoleDeclaration,
  type RoleProcess,
  type SystemDeclaration,
} from '../services/local-stack/system.ts';
import { layOutProgram, mainOf } from './checkout.ts';
import { NAMESPACE, openCluster } from './cluster.ts';

/** How the processes of a variant are started. */
export interface Checkout {
  readonly name: string;
  /** Where Node keeps this variant's compiled code. */
  readonly compileCache: string;
  command(role: string): { readonly command: string; readonly args: readonly string[] };
  surroundings(): Readonly<Record<string, string | undefined>>;
}

/**
 * @param root of a checkout of this project; its own flags of V8 are taken
 * @param from what the roles are run: the program of the image, or the sources, as those of a checkout that lays out none
 */
async function openCheckout(
  name: string,
  root: string,
  folder: string,
  from: 'program' | 'sources' = 'program',
): Promise<Checkout> {
  const sources = mainOf(root);
  const main =
    from === 'program' ? (layOutProgram(root, join(folder, `program-${name}`)) ?? sources) : sources;
  const runRole: typeof import('../services/local-stack/run-role.ts') = await import(
    join(sources, '../local-stack/run-role.ts')
  );
  const compileCache = join(folder, `compiled-${name}`);
  mkdirSync(compileCache, { recursive: true });
  return {
    name,
    compileCache,
    command: (role) => runRole.commandOf(role, { main }),
    surroundings: () => runRole.surroundings({ compileCache }),
  };
}

/**
 * What takes turns: another checkout, this one from its sources, and this one as the image runs it, which is always there.
 * @param folder for what they lay out and compile
 */
export async function openCheckouts(
  { against, sources }: { readonly against?: string | undefined; readonly sources: boolean },
  folder: string,
): Promise<readonly Checkout[]> {
  const here = join(import.meta.dirname, '..');
  return [
    ...(against ? [await openCheckout('against', against, folder)] : []),
    ...(sources ? [await openCheckout('sources', here, folder, 'sources')] : []),
    await openCheckout('this', here, folder),
  ];
}

/** The databases of all pages. */
export const WHOLE: SystemDeclaration = {
  pages: { ...eachPage(() => [{ delivery: 'asynchronous' }] as const), 'self-view': [] },
  roles: [],
};

const DECLARED: readonly RoleDeclaration[] = [
  { role: 'top-clients' },
  { role: 'outbox-relay' },
  { role: 'projector', page: 'gig' },
  { role: 'watch-view', page: 'gig' },
  ...PAGE_NAMES.map((page) => ({ role: 'page-server', page }) as const),
  { role: 'page-server', page: 'self-view', name: 'seller-portal' },
];

export const ROLE_NAMES = [...DECLARED.map(nameOf), 'issuer', 'operator'] as const;

/** The roles by name, with free ports. The operator works in a cluster in this process, on which all is well. */
export async function describeAll(
  local: LocalSystem,
  env: Readonly<Record<string, Readonly<Record<string, string | number>>>> = {},
): Promise<Map<string, RoleProcess>> {
  await local.reserve(...ROLE_NAMES);
  const all = DECLARED.map((one) => describeRole({ ...one, env: env[nameOf(one)] ?? {} }, local.addresses));
  const own = async (name: string, more: Readonly<Record<string, string>>): Promise<RoleProcess> => {
    const healthPort = await freePort();
    return {
      ...{ name, role: name, healthPort },
      env: { TC_HEALTH_PORT: String(healthPort), TC_HEALTH_HOST: '127.0.0.1', ...more },
    };
  };
  const issuer = await own('issuer', {
    TC_PORT: String(await freePort()),
    TC_HOST: '127.0.0.1',
    TC_KEY_FILE: join(local.folder, 'issuer-key.json'),
    TC_ISSUER_NAME: 'http://127.0.0.1',
  });
  const operator = await own('operator', {
    TC_NAMESPACE: NAMESPACE,
    TC_IMAGE: 'top-clients:1',
    TC_POD_NAME: 'operator-0',
    TC_KUBECONFIG: await serveCluster(local),
  });
  return new Map([...all, issuer, operator].map((one) => [one.name, one]));
}

/** A cluster on which the platform runs. @returns the kubeconfig file that leads to it */
async function serveCluster(local: LocalSystem): Promise<string> {
  const cluster = await openCluster();
  local.keep({ stop: () => cluster.close() });
  const file = join(local.folder, 'kubeconfig.json');
  writeFileSync(
    file,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster: { server: cluster.url, 'insecure-skip-tls-verify': true } }],
      users: [{ name: 'u', user: { token: 'a-token' } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    }),
  );
  return file;
}

const READY_WITHIN_MS = 30_000;
const ASK_EVERY_MS = 4;

/** @returns the process, and how long after the spawn it answered that it is ready, in ms */
export async function startRole(
  checkout: Checkout,
  { name, role, env, healthPort }: RoleProcess,
  logs: string,
): Promise<{ readonly process: ManagedProcess; readonly readyMs: number }> {
  let spawnedAt = 0;
  let readyAt = 0;
  const process = await startProcess({
    name,
    ...checkout.command(role),
    env: { ...checkout.surroundings(), ...env },
    cwd: logs,
    logFile: join(logs, `${name}-${checkout.name}.log`),
    readyTimeoutMs: READY_WITHIN_MS,
    ready: async (_pid, aborted) => {
      spawnedAt = performance.now();
      const url = `http://127.0.0.1:${healthPort}/readyz`;
      while (!(await isReady(url))) {
        aborted.throwIfAborted();
        await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS));
      }
      readyAt = performance.now();
    },
  });
  return { process, readyMs: readyAt - spawnedAt };
}

const isReady = (url: string): Promise<boolean> =>
  fetch(url, { signal: AbortSignal.timeout(2_000), keepalive: false }).then(
    async (answer) => {
      await answer.arrayBuffer();
      return answer.ok;
    },
    () => false,
  );
