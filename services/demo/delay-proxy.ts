/** Stands between the pages and the source of truth in the demo, so that the lab can slow the source. */
import { connect, createServer, type Socket } from 'node:net';
import { resetConnection } from '#platform/sockets.ts';

export interface DelayProxy {
  /** How long every chunk of an answer is delayed, in ms; 0 passes it on at once. */
  delayMs: number;
  close(): Promise<void>;
}

/**
 * Forwards TCP connections from `port` to `target`, both on loopback, and delays what the target sends by `delayMs`.
 * Requests pass at once: the source works in time but its answers are late, as behind a slow network or a busy machine.
 * When the target refuses or breaks a connection, the client gets a reset, so that a dead source looks dead. Delays
 * never reorder bytes, and a sender that is faster than its reader is paused.
 */
export async function openDelayProxy(port: number, target: number, host = '127.0.0.1'): Promise<DelayProxy> {
  const open = new Set<Socket>();
  const proxy = { delayMs: 0 };
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ port: target, host: '127.0.0.1', noDelay: true });
    for (const socket of [near, far]) {
      open.add(socket);
      socket.once('close', () => open.delete(socket));
    }
    near.pipe(far);
    late(far, near, proxy);
    // The end of one side ends the other; after an error by a reset, which nobody takes for an answer.
    far.once('error', () => resetConnection(near));
    near.once('error', () => resetConnection(far));
    near.once('close', () => far.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, () => resolve());
  });
  return Object.assign(proxy, {
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  });
}

/** When a connection has more delayed bytes than this, its sender is paused. */
const MOST_HELD = 1024 * 1024;

function late(from: Socket, to: Socket, proxy: { readonly delayMs: number }): void {
  let held = 0;
  const waiting: { readonly at: number; readonly act: () => void }[] = [];
  let armed: NodeJS.Timeout | undefined;
  // One queue and one timer: timers of different lengths that end together may fire in either order.
  const drain = () => {
    armed = undefined;
    while (waiting.length > 0 && waiting[0]!.at <= performance.now()) waiting.shift()!.act();
    if (waiting.length > 0) arm(waiting[0]!.at - performance.now());
  };
  const arm = (ms: number) => {
    armed = setTimeout(drain, ms);
  };
  const pass = (act: () => void) => {
    if (proxy.delayMs <= 0 && waiting.length === 0) return act();
    waiting.push({ at: performance.now() + proxy.delayMs, act });
    if (armed === undefined) arm(proxy.delayMs);
  };
  from.on('data', (chunk) => {
    held += chunk.length;
    if (held > MOST_HELD) from.pause();
    pass(() => {
      held -= chunk.length;
      const more = to.destroyed || to.write(chunk);
      if (!more) {
        from.pause();
        to.once('drain', () => from.resume());
      } else if (held <= MOST_HELD) from.resume();
    });
  });
  from.once('end', () => pass(() => to.end()));
  to.once('close', () => {
    clearTimeout(armed);
    waiting.length = 0;
  });
}
