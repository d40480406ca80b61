import { BlockList, isIP } from 'node:net';
import { RateLimiterMemory, RateLimiterRes } from 'rate-limiter-flexible';
import { Refusal } from './refusal.ts';

export interface LimitSettings {
  /** Writes a seller may send in a minute; 0 for any number. */
  readonly writesPerMinute: number;
  /** Requests one address may send in a minute; 0 for any number. */
  readonly requestsPerMinute: number;
  /** Networks that the limit per address leaves alone, like 10.0.0.0/8: our own pages call from there. */
  readonly unlimitedNetworks: readonly string[];
}

/** Counts in this process's memory: with n replicas behind a balancer a caller may get n times as far. */
export interface Limits {
  /** @throws Refusal 429 */
  request(address: string): Promise<void>;
  /** @throws Refusal 429 */
  write(sellerId: number): Promise<void>;
}

/** @param onLimited told which limit refused a request */
export function openLimits(
  settings: LimitSettings,
  onLimited: (limit: 'seller' | 'address') => void,
): Limits {
  const unlimited = blockListOf(settings.unlimitedNetworks);
  const limiter = (limit: 'seller' | 'address', points: number, what: string) => {
    if (points === 0) return async () => {};
    const memory = new RateLimiterMemory({ points, duration: 60, keyPrefix: limit });
    return async (key: string | number) => {
      try {
        await memory.consume(key);
      } catch (err) {
        if (!(err instanceof RateLimiterRes)) throw err;
        onLimited(limit);
        const seconds = Math.max(1, Math.ceil(err.msBeforeNext / 1_000));
        throw new Refusal('too-many-requests', `${what}: at most ${points} a minute; wait ${seconds} s`, {
          headers: { 'Retry-After': String(seconds) },
        });
      }
    };
  };
  const perAddress = limiter('address', settings.requestsPerMinute, 'this address sends too many requests');
  const perSeller = limiter('seller', settings.writesPerMinute, 'this seller sends too many changes');
  return {
    request: async (address) => {
      if (settings.requestsPerMinute === 0) return;
      const plain = address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
      const family = isIP(plain) === 6 ? 'ipv6' : 'ipv4';
      if (!unlimited.check(plain, family)) await perAddress(family === 'ipv6' ? networkOf(plain) : plain);
    },
    write: perSeller,
  };
}

function blockListOf(networks: readonly string[]): BlockList {
  const blockList = new BlockList();
  for (const network of networks) {
    const [address, bits] = network.split('/') as [string, string];
    blockList.addSubnet(address, Number(bits), isIP(address) === 6 ? 'ipv6' : 'ipv4');
  }
  return blockList;
}

/** One household or server gets a /64, and could come from any address in it. */
function networkOf(ipv6: string): string {
  const [head = '', tail] = ipv6.split('%')[0]!.split('::');
  const groups = head === '' ? [] : head.split(':');
  const missing = tail === undefined ? 0 : 8 - groups.length - (tail === '' ? 0 : tail.split(':').length);
  const all = [...groups, ...Array<string>(missing).fill('0'), ...(tail ? tail.split(':') : [])];
  return all
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}
