import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo, Server as NetServer } from 'node:net';
import { isIPv6 } from 'node:net';
import { pause } from './lifecycle.ts';
import type { Log } from './log.ts';

/** Every address of this machine: IPv6, and IPv4 as `::ffff:…`. */
export const ANY_ADDRESS = '::';

/** What a kernel without IPv6 says. */
const NO_IPV6: ReadonlySet<unknown> = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL']);

/**
 * Listens on an address, on every one by default; where the kernel has no IPv6, on every IPv4 one, and the log says so.
 * @returns the port, which the kernel chooses for 0
 * @throws Error with a sentence that names address and port
 */
export async function listen(
  server: NetServer,
  port: number,
  host: string = ANY_ADDRESS,
  log?: Log,
): Promise<number> {
  try {
    return await bind(server, port, host);
  } catch (err) {
    const { code } = (err as Error).cause as NodeJS.ErrnoException;
    if (host !== ANY_ADDRESS || !NO_IPV6.has(code)) throw err;
    log?.warn({ port, code }, 'there is no IPv6 on this machine: listening on its IPv4 addresses alone');
    return bind(server, port, '0.0.0.0');
  }
}

function bind(server: NetServer, port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const failed = (cause: Error) => {
      const where = isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
      reject(new Error(`cannot listen on ${where}: ${cause.message}`, { cause }));
    };
    server.once('error', failed);
    server.listen({ port, host }, () => {
      server.off('error', failed);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

/**
 * Has those leave who keep their connection: each answer from now on ends its own. To close kept connections at once
 * would meet a request that is on its way. Resolves after that time; {@link drain} comes after it.
 */
export function sayGoodbye(server: Server, forMs: number): Promise<void> {
  server.prependListener('request', (_req: IncomingMessage, res: ServerResponse) => {
    res.shouldKeepAlive = false;
  });
  return pause(forMs);
}

/**
 * Stops accepting, lets requests in flight finish, then closes; idle connections are closed at once. Always right after
 * the event loop has read its sockets: a process that had to wait for the processor would otherwise close connections
 * on which a request has arrived meanwhile.
 */
export function drain(server: Server): Promise<void> {
  return new Promise((resolve) => {
    // A connection whose request ends only now would be kept alive until its timeout.
    const sweep = setInterval(() => setImmediate(() => server.closeIdleConnections()), 20);
    setImmediate(() =>
      server.close(() => {
        clearInterval(sweep);
        resolve();
      }),
    );
  });
}
