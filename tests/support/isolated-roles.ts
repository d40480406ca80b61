/** Roles alone: none of their dependencies is there, and they serve their health port all the same. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../services/local-stack/ports.ts';
import { type ManagedProcess, startProcess } from '../../services/local-stack/process.ts';
import { commandOf } from '../../services/local-stack/run-role.ts';

const NOBODY = 'postgresql://nobody@127.0.0.1:1/nothing';
const KAFKA = { TC_KAFKA_BROKERS: '127.0.0.1:1' };
const TOKENS = { TC_JWKS_URL: 'http://127.0.0.1:1/', TC_JWT_ISSUER: 'i', TC_JWT_AUDIENCE: 'a' };
const PAGE = { TC_PAGE: 'gig', TC_SOURCE_URL: 'http://127.0.0.1:1' };

export const ISOLATED_ROLES = {
  'top-clients': { ...TOKENS },
  'outbox-relay': { ...KAFKA },
  projector: { TC_PAGE: 'gig', ...KAFKA },
  'page-server': PAGE,
} as const satisfies Record<string, Readonly<Record<string, string>>>;
export type IsolatedRole = keyof typeof ISOLATED_ROLES;
/** The self-view: it runs under the role page-server but is otherwise a different program. */
export const SELF_VIEW = {
  ...PAGE,
  ...TOKENS,
  TC_PAGE: 'self-view',
  TC_SELF_VIEW_URL: 'https://my.example.com',
} as const;

export interface Lonely {
  readonly process: ManagedProcess;
  /** The address it serves on; absent when it serves none. */
  readonly url: string;
  log(): Promise<string>;
  metrics(): Promise<string>;
  /** The answer of `/readyz`. */
  readiness(): Promise<string>;
}

export interface IsolatedRoles {
  start(
    role: IsolatedRole,
    env?: Readonly<Record<string, string>>,
    nodeFlags?: readonly string[],
  ): Promise<Lonely>;
  stop(): Promise<void>;
}

export async function openIsolatedRoles(): Promise<IsolatedRoles> {
  const folder = await mkdtemp(join(tmpdir(), 'isolated-'));
  const running: ManagedProcess[] = [];
  return {
    async start(role, env = {}, nodeFlags = []) {
      const [port, healthPort] = [await freePort(), await freePort()];
      const logFile = join(folder, `${role}-${healthPort}.log`);
      const process = await startProcess({
        name: role,
        ...commandOf(role, { nodeFlags }),
        env: {
          NODE_OPTIONS: undefined,
          TC_HEALTH_PORT: String(healthPort),
          TC_DATABASE_URL: NOBODY,
          ...(role === 'top-clients' || role === 'page-server' ? { TC_PORT: String(port) } : {}),
          ...ISOLATED_ROLES[role],
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
        metrics: async () => {
          const answer = await fetch(`http://127.0.0.1:${healthPort}/metrics`);
          return answer.text();
        },
        readiness: async () => {
          const answer = await fetch(`http://127.0.0.1:${healthPort}/readyz`);
          return answer.text();
        },
      };
    },
    async stop() {
      await Promise.all(running.map((one) => one.stop()));
      await rm(folder, { recursive: true, force: true });
    },
  };
}
