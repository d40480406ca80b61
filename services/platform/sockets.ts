import type { Socket } from 'node:net';

/**
 * Closes the connection by a reset, so that the peer takes nothing of it for complete. A socket that has been ended,
 * but not flushed yet, is closed without a reset: libuv refuses to reset it (uv_tcp_close_reset: EINVAL), and Node then
 * forgets to close it, for good (v20 and v24). The process could not even end.
 */
export function resetConnection(socket: Socket): void {
  if (socket.writableEnded && !socket.writableFinished) socket.destroy();
  else socket.resetAndDestroy();
}
