/** One measurement: a variant of a page under a condition, at a fixed rate or saturated. */

import { join } from 'node:path';
import type { PageName } from '#contracts/pages.ts';
import { randomFor } from '../../services/seed/random.ts';
import { loadAverages, watchOthers } from '../machine.ts';
import { cpuOfTree, usageOf } from '../usage.ts';
import { attack } from '../vegeta.ts';
import type { Run } from './results.ts';
import { visits } from './sample.ts';
import type { ConditionName, VariantName } from './variants.ts';
import type { BenchWorld } from './world.ts';
import { probeStaleness, type Writer } from './writes.ts';

export interface Measured {
  readonly page: PageName;
  readonly variant: VariantName;
  readonly condition: ConditionName;
  readonly round: number;
  readonly share: number;
}

/** Warm-up requests of a page, per second and for this many seconds. */
const VISITS = 4_000;
const PROBED = 8;
/** Connections that saturate a page: more than its database connections, far fewer than it may queue. */
const SATURATING_WORKERS = 32;

export const pathsFor = (world: BenchWorld, page: PageName, seed: number): string[] =>
  visits(page, world.ranked, VISITS, randomFor(`visits-${page}`, seed));

/** How many renders the page can serve while writes continue. */
export async function measureSaturation(
  world: BenchWorld,
  { page, variant }: Pick<Measured, 'page' | 'variant'>,
  paths: readonly string[],
  seconds: number,
  folder: string,
): Promise<number> {
  const { url } = world.server(page, variant);
  const result = await attack(
    url,
    paths,
    { workers: SATURATING_WORKERS },
    seconds,
    join(folder, 'saturation'),
  );
  return result.okPerSecond;
}

/** Latency, cost and staleness at a fixed rate. */
export async function measureAtRate(
  world: BenchWorld,
  writer: Writer,
  what: Measured,
  load: { readonly paths: readonly string[]; readonly rate: number; readonly seconds: number },
  folder: string,
): Promise<Run> {
  const { page, variant } = what;
  const server = world.server(page, variant);
  const sourcePid = world.sourcePid();
  const cpu = () => ({
    page: usageOf(server.pid).cpuSeconds,
    source: sourcePid === null ? 0 : usageOf(sourcePid).cpuSeconds,
    postgres: cpuOfTree(world.postgres.pid),
  });
  const loadBefore = loadAverages()[0]!;
  const othersTook = watchOthers();
  const [countersBefore, cpuBefore] = [await server.counters(), cpu()];
  const probed = page === 'search' ? world.onFirstPage : world.withClients;
  // Without the feature nothing can be stale.
  const probe =
    variant === 'off' || probed.length === 0
      ? null
      : probeStaleness(writer, server.url, probed.slice(0, PROBED), (sellerId) =>
          page === 'gig' ? `/gigs/${sellerId}` : page === 'user' ? `/users/${sellerId}` : '/search?q=',
        );
  const result = await attack(
    server.url,
    load.paths,
    { rate: load.rate },
    load.seconds,
    join(folder, 'rate'),
  );
  const staleness = (await probe?.()) ?? null;
  const [countersAfter, cpuAfter] = [await server.counters(), cpu()];
  const grown = (name: string) => (countersAfter.get(name) ?? 0) - (countersBefore.get(name) ?? 0);
  const renders = grown('topclients_page_renders_total');
  const calls = ['ok', 'error', 'timeout'].reduce(
    (sum, kind) => sum + grown(`topclients_page_source_requests_total/${kind}`),
    0,
  );
  const outcome = (name: string) => grown(`topclients_page_renders_total/${name}`) / renders;
  const perThousand = (of: keyof typeof cpuBefore) => ((cpuAfter[of] - cpuBefore[of]) / renders) * 1_000;
  return {
    ...what,
    ...result,
    renders,
    callsPerRender: calls / renders,
    outcomes: {
      full: outcome('full'),
      missing: outcome('missing'),
      stale: outcome('stale'),
      error: outcome('error'),
    },
    cpuSecondsPerThousand: {
      page: perThousand('page'),
      source: sourcePid === null ? null : perThousand('source'),
      postgres: perThousand('postgres'),
    },
    staleness,
    saturationPerSecond: null,
    loadBefore,
    othersCores: othersTook(),
  };
}
