const SUFFIXES: Readonly<Record<string, number>> = {
  '': 1,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
};

/** The API server normalises quantities: 0.5 becomes 500m, 1000m becomes 1. */
function amountOf(value: unknown): number | null {
  const parts = /^(\d+(?:\.\d+)?)(m|k|Ki|M|Mi|G|Gi|T|Ti|)$/.exec(String(value));
  return parts ? Number(parts[1]) * SUFFIXES[parts[2]!]! : null;
}

const isEmpty = (value: unknown): boolean =>
  value === undefined || value === null || (typeof value === 'object' && Object.keys(value).length === 0);

/**
 * Whether a live object has everything that was applied. Additional fields (defaults, other managers' fields) are no
 * drift. A false "no" costs one request that changes nothing. Fields that are no longer desired are not noticed here,
 * but by `LastApplied`.
 */
export function matchesDesired(live: unknown, wanted: unknown): boolean {
  if (isEmpty(wanted)) return typeof live !== 'string' && (isEmpty(live) || !Array.isArray(wanted));
  if (Array.isArray(wanted)) {
    if (!Array.isArray(live) || live.length !== wanted.length) return false;
    return wanted.every((one, i) => matchesDesired(live[i], one));
  }
  if (typeof wanted === 'object') {
    if (typeof live !== 'object' || live === null) return false;
    return Object.entries(wanted as object).every(([name, value]) =>
      matchesDesired((live as Record<string, unknown>)[name], value),
    );
  }
  if (live === wanted) return true;
  const amount = amountOf(wanted);
  return amount !== null && typeof live === typeof wanted && amountOf(live) === amount;
}
