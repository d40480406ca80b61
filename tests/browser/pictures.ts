/** Takes the pictures of the README from a demo that runs: `make pictures`. */
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { portsFrom } from '../../services/demo/addresses.ts';
import { openBrowser } from './open-browser.ts';

const FOLDER = fileURLToPath(new URL('../../docs/pictures/', import.meta.url));
/** So that the repository stays small. */
const LARGEST_BYTES = 150_000;

const base = Number(process.argv[2] ?? 8080);
const ports = portsFrom(base);
const PICTURES = [
  { name: 'lab', url: `http://localhost:${ports.lab}/`, settleMs: 4_000 },
  { name: 'gig', url: `http://localhost:${ports.gig}/gigs/1`, settleMs: 0 },
] as const;

const browser = await openBrowser();
try {
  await mkdir(FOLDER, { recursive: true });
  for (const { name, url, settleMs } of PICTURES) {
    const page = await browser.newPage({ viewport: { width: 1_000, height: 720 } });
    await page.goto(url, { waitUntil: 'load' });
    // The lab has measured each delivery a few times by then.
    await page.waitForTimeout(settleMs);
    const path = join(FOLDER, `${name}.jpg`);
    await page.screenshot({ path, type: 'jpeg', quality: 60 });
    const { size } = await stat(path);
    if (size > LARGEST_BYTES) throw new Error(`${path} has ${size} bytes, more than ${LARGEST_BYTES}`);
    process.stdout.write(`${path}: ${size} bytes\n`);
  }
} finally {
  await browser.close();
}
