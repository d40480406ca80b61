import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { Request } from 'express';
import { list, setting } from './config.ts';
import { type Log, seldom } from './log.ts';

/** Whether a text is a network like 10.0.0.0/8 or fc00::/7. */
function isNetwork(text: string): boolean {
  const [, address = '', bits] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? [];
  const family = isIP(address);
  return family !== 0 && Number(bits) <= (family === 6 ? 128 : 32);
}

const isProxy = (text: string): boolean =>
  ['loopback', 'linklocal', 'uniquelocal'].includes(text) || isIP(text) !== 0 || isNetwork(text);

/** As Express takes them. An empty text is an empty list. */
export const TRUSTED_PROXIES = setting(
  'TC_TRUSTED_PROXIES',
  'proxies whose X-Forwarded-For tells the address, comma-separated: addresses, networks, loopback, uniquelocal',
  list()
    .transform((items) => items.filter((item) => item !== ''))
    .refine(
      (items) => items.every(isProxy),
      'must be addresses, networks, loopback, linklocal or uniquelocal',
    )
    .default([]),
);

/**
 * Tells whether a request came through a proxy that is not trusted: its sender then counts as one with everybody else
 * behind that proxy. Says so in the log, once a minute at most.
 */
export function openHiddenProxies(log: Log): (req: Request) => boolean {
  const warn = seldom((through: string | undefined) =>
    log.warn(
      { through },
      'X-Forwarded-For came through an address that TC_TRUSTED_PROXIES does not name: all strangers behind it share one limit',
    ),
  );
  return (req) => {
    if (req.headers['x-forwarded-for'] === undefined) return false;
    const through = req.socket.remoteAddress;
    // If Express does not trust the nearest proxy, it takes that proxy's own address.
    const isHidden = req.ip === through;
    if (isHidden) warn(through);
    return isHidden;
  };
}

/** Which proxies an application trusts, for the edge of its server. */
export interface Proxies {
  isProxy(address: string): boolean;
  /** The same address as Express' `req.ip`: the one that the last trusted proxy reports. */
  addressOf(req: IncomingMessage): string;
}

/** @param app an Express application whose `trust proxy` is set */
export function proxiesOf(app: { get(setting: 'trust proxy fn'): unknown }): Proxies {
  const isTrusted = app.get('trust proxy fn') as (address: string, hops: number) => boolean;
  return {
    isProxy: (address) => isTrusted(address, 0),
    addressOf({ socket, headers }) {
      const said = [headers['x-forwarded-for'] ?? []].flat().join(',');
      const hops = said === '' ? [] : said.split(',').map((hop) => hop.trim());
      let address = socket.remoteAddress ?? '';
      for (let passed = 0; hops.length > 0 && isTrusted(address, passed); passed += 1) address = hops.pop()!;
      return address;
    },
  };
}
