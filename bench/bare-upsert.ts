/** Only the page's upsert, with rows ready in memory: `bare-upsert.ts <database> <rows>` prints rows per second. */
import type { SellerEvent } from '#contracts/events.ts';
import { projectionsOf } from '#pages/projections.ts';
import { APPLIER_LIMITS } from '../services/projector/applier.ts';
import { outboxRow } from './load.ts';
import { connectToView } from './view-session.ts';

const [url, count] = [process.argv[2]!, Number(process.argv[3])];
const projection = projectionsOf('gig').asynchronous;
const chunks: unknown[][] = [];
for (let first = 0; first < count; first += APPLIER_LIMITS.rowsPerChunk) {
  chunks.push(
    Array.from({ length: Math.min(APPLIER_LIMITS.rowsPerChunk, count - first) }, (_, i) =>
      projection.toRow(JSON.parse(outboxRow(first + i + 1, 1).value) as SellerEvent),
    ),
  );
}
const db = await connectToView(url, 'bare-upsert', { pipeline: true });
await db.query('set synchronous_commit = off');
const startedAt = performance.now();
let previous: Promise<number> = Promise.resolve(0);
for (const rows of chunks) {
  const next = projection.upsert(db, rows);
  await previous;
  previous = next;
}
await previous;
console.log(count / ((performance.now() - startedAt) / 1_000));
await db.end();
