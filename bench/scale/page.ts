/** What a page server costs at steady rates, once it is warm: the gig page, 2,000 sellers visited evenly. */
import { join } from 'node:path';
import { insertGigs } from '#pages/gig/own-data.ts';
import { projectionsOf } from '#pages/projections.ts';
import { type Pipeline, startPipeline } from '../../services/local-stack/pipeline.ts';
import { randomFor } from '../../services/seed/random.ts';
import { seller } from '../../services/seed/sellers.ts';
import { listOf } from '../load.ts';
import { watchOthers } from '../machine.ts';
import { cpuOfTree, usageOf } from '../usage.ts';
import { attack } from '../vegeta.ts';
import { grow } from './grow.ts';
import type { PageRun } from './results.ts';

export const PAGE_RATES = [25, 50, 100, 200, 400, 800, 1_000] as const;
const SELLERS = 1_000_000;
const QUICK_SELLERS = 10_000;
/** Sellers whose gigs the page shows: with own data for a million, gigs would be measured. */
const VISITED = 2_000;
/** At full load V8 has compiled a page server's code after about five seconds. */
const WARM = { workers: 16, seconds: 10 } as const;

export async function measurePages(
  rates: readonly number[],
  { seconds, quick }: { readonly seconds: number; readonly quick: boolean },
  found: (place: { perSecond: number }, run: PageRun) => void,
): Promise<void> {
  const pipeline = await startPipeline({ pagesPostgres: {} });
  try {
    const paths = await fill(pipeline, quick ? QUICK_SELLERS : SELLERS);
    const server = await pipeline.start({ role: 'page-server', name: 'page', page: 'gig' });
    const folder = join(pipeline.folder, 'vegeta');
    await attack(server.url, paths, { workers: WARM.workers }, quick ? 3 : WARM.seconds, folder);
    for (const rate of rates) {
      const othersTook = watchOthers();
      const before = [usageOf(server.pid).cpuSeconds, cpuOfTree(pipeline.pagesPostgres.pid)] as const;
      const result = await attack(server.url, paths, { rate }, seconds, folder);
      found(
        { perSecond: rate },
        {
          at: new Date().toISOString(),
          latencyMs: result.latencyMs,
          cores: (usageOf(server.pid).cpuSeconds - before[0]) / seconds,
          postgresCores: (cpuOfTree(pipeline.pagesPostgres.pid) - before[1]) / seconds,
          okShare: (result.statuses['200'] ?? 0) / result.requests,
          othersCores: othersTook(),
        },
      );
    }
    await server.stop();
  } finally {
    await pipeline.stop();
  }
}

/** @returns the paths of the gigs that are visited */
async function fill(pipeline: Pipeline, sellers: number): Promise<string[]> {
  await grow(pipeline, 1, sellers);
  const random = randomFor('scale', sellers);
  const visited = [...new Set(Array.from({ length: VISITED }, () => random.integer(1, sellers)))];
  const firstGig = (id: number) => seller(id, sellers).gigs[0]!;
  // A seller's first gig has the seller's id, and related gigs are first gigs.
  const shown = [...new Set([...visited, ...visited.flatMap((id) => firstGig(id).related_gig_ids)])];
  for (let at = 0; at < shown.length; at += 500) {
    await insertGigs(pipeline.view, shown.slice(at, at + 500).map(firstGig));
  }
  const projection = projectionsOf('gig').asynchronous;
  const committedAt = new Date().toISOString();
  await projection.upsert(
    pipeline.view,
    visited.map((sellerId) => ({
      ...{ sellerId, version: 2, committedAt },
      clients: JSON.stringify(listOf(sellerId)),
    })),
  );
  await pipeline.view.query('vacuum analyze');
  return visited.map((id) => `/gigs/${id}`);
}
