/** Free TCP ports on the loopback interface. */
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';

const LOOPBACK = '127.0.0.1';
const LOWEST = 15_000;

/** Ports that this process has handed out: two servers that start at once must not get the same one. */
const handedOut = new Set<number>();

/**
 * The first port that the kernel gives to outgoing connections. Servers stay below it. While a killed server is down,
 * an outgoing connection could take its port for good. And a client that keeps dialling a dead loopback port in that
 * range can even connect to itself.
 */
function firstEphemeralPort(): number {
  try {
    const first = Number(
      readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').trim().split(/\s+/)[0],
    );
    if (Number.isInteger(first) && first > LOWEST + 1_000) return first;
  } catch {
    // Not Linux: the IANA range, which macOS and the BSDs use, begins higher still.
  }
  return 32_768;
}

/**
 * Asks the kernel whether a server could listen on the port now.
 * @returns false when the port is taken, or this user may not use it
 */
export function isPortFree(port: number, host: string = LOOPBACK): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/**
 * A port without a listener, below the range of outgoing connections; this process never gets it twice. Another process
 * may still take it before the caller listens: see {@link withFreePort}.
 * @throws Error when 200 tries found none
 */
export async function freePort(host: string = LOOPBACK): Promise<number> {
  const end = firstEphemeralPort();
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const port = randomInt(LOWEST, end);
    if (handedOut.has(port)) continue;
    handedOut.add(port);
    if (await isPortFree(port, host)) return port;
  }
  throw new Error(`no free port between ${LOWEST} and ${end} on ${host}`);
}

/** The server found its port taken, although it was free a moment ago. */
export class PortTaken extends Error {
  override readonly name = 'PortTaken';
}

/**
 * Starts a server on the wanted port, or on a free one when none is wanted (0 or absent). Only in the second case does
 * a {@link PortTaken} lead to another port, five times at most.
 * @throws PortTaken naming the port when the wanted one is in use, else whatever `start` throws
 */
export async function withFreePort<T>(
  wanted: number | undefined,
  start: (port: number) => Promise<T>,
): Promise<T> {
  if (wanted) {
    if (await isPortFree(wanted)) return start(wanted);
    throw new PortTaken(
      `port ${wanted} on ${LOOPBACK} is in use: stop what listens there or choose another port`,
    );
  }
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start(await freePort());
    } catch (error) {
      if (!(error instanceof PortTaken) || attempt === 5) throw error;
    }
  }
}
