import { isIPv6 } from 'node:net';

const MAPPED = '::ffff:';

/** An IPv4 address as itself: a server that listens on `::` sees it as `::ffff:192.0.2.1`. */
export const plainAddress = (address: string): string =>
  address.startsWith(MAPPED) && address.includes('.') ? address.slice(MAPPED.length) : address;

/**
 * What counts as one client: an IPv4 address, or the first 64 bits of an IPv6 one. A household or a server gets a
 * network of that size, and can come from any address in it.
 */
export function clientAt(address: string): string {
  const plain = plainAddress(address);
  return isIPv6(plain) ? networkOf(plain) : plain;
}

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
