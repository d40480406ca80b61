import { LRUCache } from 'lru-cache';

/** Results that are kept of each function: a platform or two with all pages, or the pages of a few platforms. */
const MOST_KEPT = 32;

/**
 * A pure function that does not build anew what it built before of equal inputs. Everything in its inputs counts, so they
 * are plain data: what JSON leaves out of them would not. Whoever gets the result shares it, so nobody may change it.
 */
export function builtOnce<Inputs extends readonly object[], Built extends object>(
  build: (...inputs: Inputs) => Built,
): (...inputs: Inputs) => Built {
  const kept = new LRUCache<string, Built>({ max: MOST_KEPT });
  return (...inputs) => {
    const key = JSON.stringify(inputs);
    const before = kept.get(key);
    if (before !== undefined) return before;
    const built = frozen(build(...inputs));
    kept.set(key, built);
    return built;
  };
}

function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const part of Object.values(value)) frozen(part);
  return Object.freeze(value);
}
