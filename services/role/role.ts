import { z } from 'zod';
import {
  type Config,
  ConfigError,
  describeSettings,
  port,
  readConfig,
  type Setting,
  setting,
} from '#platform/config.ts';
import { collectOnceIdle } from '#platform/idle-memory.ts';
import { type Releases, runRole } from '#platform/lifecycle.ts';
import { ANY_ADDRESS } from '#platform/listen.ts';
import { type Log, openLog, withoutPasswords } from '#platform/log.ts';
import { readVersion } from '#platform/version.ts';
import { type Metrics, openMetrics } from './metrics.ts';

const COMMON = {
  logLevel: setting(
    'TC_LOG_LEVEL',
    'debug, info, warn or error',
    z.enum(['debug', 'info', 'warn', 'error']).default('info'),
  ),
  healthPort: setting('TC_HEALTH_PORT', 'port of /livez, /readyz and /metrics', port().default(9090)),
  healthHost: setting(
    'TC_HEALTH_HOST',
    'address that port listens on; :: is every one of this machine, IPv6 and IPv4',
    z.string().min(1).default(ANY_ADDRESS),
  ),
};

export interface RoleContext {
  readonly log: Log;
  /** The version of this program. */
  readonly version: string;
  readonly metrics: Metrics;
  /** What is pushed here is released in reverse order when the process stops, also after a failed start. */
  readonly releases: Releases;
  /** Ends the process with an error, after releasing what was acquired. */
  readonly fail: (err: unknown) => void;
}

/** One program of the image: its settings and what it does with them. */
export interface Role<S extends Readonly<Record<string, Setting>> = Readonly<Record<string, Setting>>> {
  readonly name: string;
  readonly about: string;
  readonly settings: S;
  /** Started in pods of other roles, whose settings it ignores. */
  readonly isGuest?: true;
  /** Resolves `running` once it serves, or `done` when its work is over (migrate, seed). */
  start(config: Config<S & typeof COMMON>, context: RoleContext): Promise<'running' | 'done'>;
}

/** Keeps the types of the settings while the role stands in a list with others. */
export const defineRole = <S extends Readonly<Record<string, Setting>>>(role: Role<S>): Role =>
  role as unknown as Role;

/** Reads the configuration and runs the role; a wrong configuration ends with status 2 and a sentence a line. */
export async function launch(role: Role, argv: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const settings = { ...role.settings, ...COMMON };
  if (argv.includes('--help')) {
    process.stdout.write(`${role.name}: ${role.about}\n\n${describeSettings(settings)}\n`);
    return;
  }
  let config: Config<typeof settings>;
  try {
    config = readConfig(role.name, settings, argv, env, role.isGuest);
  } catch (err) {
    if (!(err instanceof ConfigError)) throw err;
    process.stderr.write(`${withoutPasswords(err.message)}\n`);
    process.exitCode = 2;
    return;
  }
  const log = openLog(role.name, config.logLevel);
  const metrics = openMetrics();
  const version = readVersion();
  metrics.gauge('topclients_build_info').set({ role: role.name, version }, 1);
  await runRole(log, async (releases, fail) => {
    const outcome = await role.start(config, { log, version, metrics, releases, fail });
    if (outcome === 'running') {
      const stopping = new AbortController();
      releases.push('the look for idle memory', () => stopping.abort());
      collectOnceIdle(stopping.signal).catch((err: unknown) =>
        log.warn({ err }, 'could not give back memory'),
      );
    }
    return outcome;
  });
}
