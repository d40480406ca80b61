import { statfs } from 'node:fs/promises';
import { findJava } from '../local-stack/kafka.ts';
import { isPortFree } from '../local-stack/ports.ts';
import type { Ports } from './addresses.ts';
import { UsageError } from './options.ts';

/** Measured with 20,000 sellers and traffic, rounded up: see the table in this folder's README. */
const MEMORY_MB = 2_500;
const DISK_MB = 1_500;

/**
 * Checks for everything that would make the start fail halfway.
 * @throws UsageError naming all problems at once
 */
export async function preflight(ports: Ports, dataFolder: string): Promise<void> {
  const complaints: string[] = [];
  try {
    findJava();
  } catch (err) {
    complaints.push((err as Error).message);
  }
  const available = Math.floor(process.availableMemory() / 1024 / 1024);
  if (available < MEMORY_MB) {
    complaints.push(
      `${available} MB of memory are free and the demo needs ${MEMORY_MB}: close something first`,
    );
  }
  const { bavail, bsize } = await statfs(dataFolder);
  const disk = Math.floor((bavail * bsize) / 1024 / 1024);
  if (disk < DISK_MB) {
    complaints.push(
      `${disk} MB are free under ${dataFolder} and the demo needs ${DISK_MB}: choose another --data`,
    );
  }
  const taken: string[] = [];
  for (const [name, port] of Object.entries(ports)) {
    if (!(await isPortFree(port))) taken.push(`${port} (${name})`);
  }
  if (taken.length > 0) {
    complaints.push(
      `in use: port ${taken.join(', ')}: stop what listens there, or choose others with --port-base ${suggestion(ports.lab)}`,
    );
  }
  if (complaints.length > 0) throw new UsageError(complaints.join('\n'));
}

const suggestion = (base: number) => (base + 1_000 < 60_000 ? base + 1_000 : base - 1_000);
