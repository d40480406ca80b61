/** Full disks: the data of each server is on a small disk, and a ballast file fills it up. */
import { execFileSync } from 'node:child_process';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from '../../services/local-stack/until.ts';
import type { Fault } from './fault.ts';

const SERVERS = ['kafka', 'source', 'pages'] as const;
type Server = (typeof SERVERS)[number];
const MEGABYTES = 640;

const ballastOf = (folder: string, server: Server) => join(folder, `disk-${server}`, 'ballast');

const isRoot = () => (process.getuid?.() === 0 ? null : 'small disks are mounted by root only');

/**
 * Mounts a small disk for each server whose disk a fault fills.
 * @returns the folders for the servers' data, and a function that removes the disks
 * @throws when the machine does not allow mounts; then leave out the faults `disk-full-…`
 */
export async function mountDisks(folder: string, faults: readonly Fault[]) {
  const dataDirs: Partial<Record<Server, string>> = {};
  const mounted: string[] = [];
  const unmount = () => {
    for (const disk of mounted.splice(0)) execFileSync('umount', ['--lazy', disk]);
  };
  try {
    for (const server of SERVERS.filter((one) => faults.some(({ name }) => name === `disk-full-${one}`))) {
      const disk = join(folder, `disk-${server}`);
      await mkdir(disk, { recursive: true });
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${MEGABYTES}m,mode=0755`, 'tmpfs', disk]);
      mounted.push(disk);
      dataDirs[server] = join(disk, 'data');
    }
  } catch (err) {
    unmount();
    throw err;
  }
  return { dataDirs, unmount };
}

/** Writes until nothing more fits. */
async function fill(file: string): Promise<void> {
  const ballast = await open(file, 'w');
  try {
    // A large block is cut short when it does not fit, and the next write fails.
    for (const block = Buffer.alloc(1024 * 1024); ; ) await ballast.write(block);
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'ENOSPC') throw err;
  } finally {
    await ballast.close();
  }
}

export const disks: readonly Fault[] = SERVERS.map((server) => ({
  name: `disk-full-${server}`,
  about: `the disk of ${server === 'kafka' ? 'Kafka' : `the PostgreSQL of the ${server}`} is full`,
  touches: server === 'kafka' ? 'kafka' : `postgres-${server}`,
  pages: server === 'pages' ? 'answer or refuse' : 'answer',
  viewMayGoBack: server === 'pages',
  seconds: [4, 8],
  missing: isRoot,
  async inject({ world, log }) {
    const ballast = ballastOf(world.folder, server);
    await fill(ballast);
    if (server !== 'kafka') {
      // PostgreSQL stops completely when its log cannot continue in a new file.
      const db = server === 'source' ? world.source : world.views.gig;
      await db.query('select pg_switch_wal()').catch((err: Error) => log(`disk full: ${err.message}`));
    }
    return async () => {
      await rm(ballast);
      // Kafka gives up a folder for good at the first failure; only a restart uses it again.
      if (server === 'kafka') await until('Kafka runs', () => world.kafka.restart().then(() => true), 60_000);
    };
  },
}));
