import { isIP } from 'node:net';
import { list, setting } from './config.ts';

/** Whether a text is a network like 10.0.0.0/8 or fc00::/7. */
export function isNetwork(text: string): boolean {
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
