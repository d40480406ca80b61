/** Which sellers the comparison visits: by rank, and which ranks have clients. Pure. */
import { type Random, zipf } from '../../services/seed/random.ts';

/** Visits to the seller of rank r are in proportion to 1 / (r + 1), as in the demo's traffic. */
const SKEW = 1;

/**
 * Which ranks have clients, so that `share` of the *visits* meet one. With skewed visits the first ranks decide almost
 * alone, so a random choice would give another share in every run.
 * @param share 0 to 1
 */
export function ranksWithClients(sellers: number, share: number): boolean[] {
  let visits = 0;
  let met = 0;
  return Array.from({ length: sellers }, (_, rank) => {
    const weight = 1 / (rank + 1) ** SKEW;
    visits += weight;
    const wanted = visits * share;
    const has = Math.abs(met + weight - wanted) < Math.abs(met - wanted);
    if (has) met += weight;
    return has;
  });
}

/** The share of visits that meet a seller with clients, 0 to 1. */
export function shareOfVisits(withClients: readonly boolean[]): number {
  let visits = 0;
  let met = 0;
  withClients.forEach((has, rank) => {
    const weight = 1 / (rank + 1) ** SKEW;
    visits += weight;
    if (has) met += weight;
  });
  return met / visits;
}

/**
 * Sellers by rank, taken in order from those with clients and those without.
 * @throws Error when there are too few of a kind
 */
export function sellersByRank(
  withClients: readonly boolean[],
  candidates: { readonly some: readonly number[]; readonly none: readonly number[] },
): number[] {
  const next = { some: 0, none: 0 };
  return withClients.map((has) => {
    const kind = has ? 'some' : 'none';
    const id = candidates[kind][next[kind]++];
    if (id === undefined) {
      throw new Error(
        `only ${candidates[kind].length} sellers have ${kind === 'some' ? '' : 'no '}clients: visit fewer with --sellers`,
      );
    }
    return id;
  });
}

const QUERIES = ['logo', 'video', 'website', 'voice', 'translate', 'illustration', 'data', 'photo', ''];

/** Paths of visits to a page, skewed; equal random numbers give equal paths. */
export function visits(
  page: 'gig' | 'user' | 'search',
  ranked: readonly number[],
  count: number,
  random: Random,
): string[] {
  const popular = zipf(ranked.length, SKEW);
  return Array.from({ length: count }, () => {
    if (page === 'search') return `/search?q=${random.pick(QUERIES)}`;
    const seller = ranked[popular(random)]!;
    return page === 'gig' ? `/gigs/${seller}` : `/users/${seller}`;
  });
}

/** The items in random order; equal random numbers give an equal order. */
export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = random.integer(0, i);
    [result[i], result[j]] = [result[j]!, result[i]!];
  }
  return result;
}
