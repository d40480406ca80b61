import { isIP } from 'node:net';

/**
 * Judges the origin of a request. A web site can make a browser send requests here. With a host name that resolves to
 * this machine it can even read the answers. It must not see tokens or use switches.
 */
export interface Guard {
  /** Whether the requested host name is ours. A literal address cannot be made to point elsewhere. */
  isOurs(host: string | undefined): boolean;
  /** Whether a request that changes something comes from one of our pages in a browser on this machine. */
  mayChange(host: string | undefined, origin: string | undefined): boolean;
}

/** @param listening the address given by `--host` */
export function openGuard(listening: string): Guard {
  const nameOf = (host: string | undefined): string | undefined => {
    if (host === undefined || !URL.canParse(`http://${host}`)) return undefined;
    return new URL(`http://${host}`).hostname.replace(/^\[|\]$/g, '');
  };
  const isLoopback = (name: string) =>
    name === 'localhost' || name === '::1' || /^127\.\d+\.\d+\.\d+$/.test(name);
  return {
    isOurs(host) {
      const name = nameOf(host);
      return name !== undefined && (isLoopback(name) || name === listening || isIP(name) !== 0);
    },
    mayChange(host, origin) {
      const name = nameOf(host);
      return name !== undefined && isLoopback(name) && origin === `http://${host}`;
    },
  };
}
