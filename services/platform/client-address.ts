import { isIP } from 'node:net';

const MAPPED = /^::ffff:(?=\d+\.)/i;

/** An IPv4 address as itself: a server that listens on `::` sees it as `::ffff:192.0.2.1`. */
export const plainAddress = (address: string): string => address.replace(MAPPED, '');

/**
 * What counts as one client: an IPv4 address, or the first 64 bits of an IPv6 one. A household or a server gets a
 * network of that size, and can come from any address in it. Some proxies also send a port, `203.0.113.7:4711`, which
 * is another one at every connection.
 */
export function clientAt(told: string): string {
  const [, bracketed] = /^\[([^\]]+)\](?::\d+)?$/.exec(told) ?? [];
  const [, dotted] = /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(told) ?? [];
  const address = plainAddress(bracketed ?? dotted ?? told);
  switch (isIP(address)) {
    case 4:
      return address;
    case 6:
      return networkOf(address);
    // All texts that are no address count as one client.
    default:
      return 'none';
  }
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
