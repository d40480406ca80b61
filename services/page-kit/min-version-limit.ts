const WINDOW_MS = 60_000;
/** Clients that have a count of their own; those that come after them within a minute share one count. */
const CLIENTS = 10_000;

/**
 * Rate limit of `minVersion`: how often clients may have the source of truth asked because they want a version that the
 * page does not have. Anybody can want one, and a page that never asks the source must not become a way to it. The
 * limit counts in this process's memory: with n servers behind a balancer a client may cause n times as many calls.
 */
export interface MinVersionLimit {
  /** Takes one call of a client's minute; when it is used up, how many seconds there are to wait. */
  take(client: string): 'yes' | { readonly waitSeconds: number };
}

/**
 * @param perMinute calls of one client; 0 for any number
 * @param now milliseconds that only go forward
 */
export function openMinVersionLimit(perMinute: number, now = () => performance.now()): MinVersionLimit {
  if (perMinute === 0) return { take: () => 'yes' };
  const taken = new Map<string, number>();
  let until = 0;
  return {
    take(client) {
      const at = now();
      if (at >= until) {
        taken.clear();
        until = at + WINDOW_MS;
      }
      const counted = taken.has(client) || taken.size < CLIENTS ? client : '';
      const before = taken.get(counted) ?? 0;
      if (before >= perMinute) return { waitSeconds: Math.max(1, Math.ceil((until - at) / 1_000)) };
      taken.set(counted, before + 1);
      return 'yes';
    },
  };
}
