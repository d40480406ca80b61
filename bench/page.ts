/** The gig page with the feature against the same page without it: requests a second, one after the other. */
import autocannon from 'autocannon';
import { insertGigs } from '#pages/gig/own-data.ts';
import { PAGES } from '#pages/index.ts';
import { freePort } from '../services/local-infra/ports.ts';
import { seller } from '../services/seed/sellers.ts';
import { historyOf } from '../services/seed/source.ts';
import type { Pipeline } from '../tests/support/pipeline.ts';

const SELLERS = 2_000;
const CONNECTIONS = 16;

export interface PageResult {
  readonly asynchronousPerSecond: number;
  readonly offPerSecond: number;
  readonly ratio: number;
  /** Milliseconds, under that load. */
  readonly asynchronousP99: number;
  readonly offP99: number;
}

/**
 * Gives the gig page gigs and lists, and says how they are visited: one gig of each seller, so that a third of the
 * visits meet clients, as a third of the sellers have them.
 */
export async function fillGigPage(pipeline: Pipeline): Promise<readonly { path: string }[]> {
  // Every tenth of the demo's sellers: the first of them have clients far more often than the rest.
  const sellers = Array.from({ length: SELLERS }, (_, i) => 1 + i * 10);
  const gigs = sellers.flatMap((id) => seller(id, SELLERS * 10).gigs);
  await insertGigs(pipeline.view, gigs);
  const projection = PAGES.gig.projections.asynchronous;
  const newest = sellers.map((id) => historyOf(id, new Date().toISOString()).at(-1));
  await projection.upsert(
    pipeline.view,
    newest.flatMap((event) => (event ? [projection.toRow(event)] : [])),
  );
  await pipeline.view.query('vacuum analyze');
  const visited = new Map(gigs.map((gig) => [gig.seller_id, gig.gig_id]));
  return [...visited.values()].map((id) => ({ path: `/gigs/${id}` }));
}

/**
 * Visits a page for some seconds.
 * @throws when anything but a page comes back
 */
export async function visitPage(
  url: string,
  seconds: number,
  requests: readonly { path: string }[],
): Promise<autocannon.Result> {
  const result = await autocannon({
    url,
    connections: CONNECTIONS,
    duration: seconds,
    requests: [...requests],
  });
  if (result.non2xx > 0 || result.errors > 0) {
    throw new Error(`${url}: ${result.non2xx} answers other than 2xx, ${result.errors} errors`);
  }
  return result;
}

export async function measurePage(pipeline: Pipeline, seconds: number): Promise<PageResult> {
  const serve = async (delivery: 'asynchronous' | 'off') => {
    const port = await freePort();
    const server = await pipeline.startRole(`page-${delivery}`, 'page-server', {
      env: {
        TC_PAGE: 'gig',
        TC_DELIVERY: delivery,
        TC_PORT: String(port),
        TC_DATABASE_URL: pipeline.postgres.url('gig'),
        // The pipeline gives it to every role; a page has no use for it.
        TC_KAFKA_BROKERS: undefined,
        // Nobody is there; under these deliveries nobody asks.
        TC_SOURCE_URL: 'http://127.0.0.1:1',
      },
    });
    return { server, url: `http://127.0.0.1:${port}` };
  };
  // The same gigs in the same order for both.
  const requests = await fillGigPage(pipeline);
  const load = (url: string, duration: number) => visitPage(url, duration, requests);
  const [asynchronous, off] = [await serve('asynchronous'), await serve('off')];
  try {
    await load(asynchronous.url, 3);
    await load(off.url, 3);
    // In slices by turns, so that whatever else the machine does falls on both.
    const slices: Array<{ asynchronous: autocannon.Result; off: autocannon.Result }> = [];
    for (let i = 0; i < 3; i++) {
      slices.push({
        asynchronous: await load(asynchronous.url, seconds / 3),
        off: await load(off.url, seconds / 3),
      });
    }
    const perSecond = (of: 'asynchronous' | 'off') =>
      slices.reduce((sum, slice) => sum + slice[of].requests.total / slice[of].duration, 0) / slices.length;
    const p99 = (of: 'asynchronous' | 'off') => Math.max(...slices.map((slice) => slice[of].latency.p99));
    return {
      asynchronousPerSecond: perSecond('asynchronous'),
      offPerSecond: perSecond('off'),
      ratio: perSecond('asynchronous') / perSecond('off'),
      asynchronousP99: p99('asynchronous'),
      offP99: p99('off'),
    };
  } finally {
    await asynchronous.server.stop();
    await off.server.stop();
  }
}
