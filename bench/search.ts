/**
 * The search page in its own right: 1,000,000 listings, and a mix of rare words, common words, two words, what is not
 * found (unknown words, and common ones that no listing has both of), and page 20. Requests leave on schedule, so a slow
 * answer makes none wait that comes after it. Left out: searches of a common word after a restart of the database, when
 * nothing is in its memory.
 */
import { join } from 'node:path';
import type { Pipeline } from '../services/local-stack/pipeline.ts';
import { pageDatabase } from './page.ts';
import { fillSearch } from './page-data.ts';
import { attack } from './vegeta.ts';

const LISTINGS = 1_000_000;
const RATE = 50;
const SLICES = 5;
const WARM_UP_SECONDS = 4;

export interface SearchResult {
  /** Milliseconds; a value for each slice. */
  readonly p50: readonly number[];
  readonly p99: readonly number[];
}

const COMMON = [
  'logo',
  'design',
  'video',
  'website',
  'translate',
  'photo',
  'illustration',
  'item1',
  'item3',
  'voice',
];
const TWO_WORDS = [
  ...['logo design', 'video editing', 'web development', 'voice over', 'brand identity'],
  ...['logo item2', 'video item10', 'website item60', 'photo item200', 'design item1000'],
];
/** Each in 40,000 to 210,000, and no listing has both: what the index has of them is gone through to its end. */
const NEVER_TOGETHER = [
  ...['logo voice', 'video translate', 'website illustration', 'photo translate', 'logo video'],
  ...['voice photo', 'design translate', 'logo translate', 'illustration video', 'website voice'],
];
/** How many of a million have such a word. */
const SEARCHES: ReadonlyArray<(i: number) => string> = [
  // From 15 to 300.
  (i) => `item${1_000 + i * 1_900}`,
  // From 40,000 to 300,000.
  (i) => COMMON[i]!,
  // Both common, or one and another that 300 to 150,000 have.
  (i) => TWO_WORDS[i]!,
  () => 'zeppelin mooring',
  (i) => NEVER_TOGETHER[i]!,
  // From 3,500 to 300,000.
  (i) => `${i % 2 === 0 ? COMMON[i]! : `item${i * i + 4}`}&page=20`,
];

/** As many of each kind, one kind after the other. */
const visits = (): readonly string[] =>
  COMMON.flatMap((_, i) => SEARCHES.map((of) => `/search?q=${of(i).replace(' ', '+')}`));

export async function measureSearch(pipeline: Pipeline, seconds: number): Promise<SearchResult> {
  const db = pageDatabase(pipeline, 'search');
  try {
    await fillSearch(db, LISTINGS);
  } finally {
    await db.end();
  }
  const server = await pipeline.start({ role: 'page-server', page: 'search', delivery: 'asynchronous' });
  try {
    const visit = async (forSeconds: number) => {
      const folder = join(pipeline.folder, 'vegeta');
      const result = await attack(server.url, visits(), { rate: RATE }, forSeconds, folder);
      const { 200: _, ...others } = result.statuses;
      if (Object.keys(others).length > 0)
        throw new Error(`answers other than 200: ${JSON.stringify(others)}`);
      return result.latencyMs;
    };
    await visit(WARM_UP_SECONDS);
    const slices = [];
    for (let slice = 0; slice < SLICES; slice++) slices.push(await visit(Math.ceil(seconds / SLICES)));
    return { p50: slices.map(({ p50 }) => p50), p99: slices.map(({ p99 }) => p99) };
  } finally {
    await server.stop();
  }
}
