import type { ServerResponse } from 'node:http';

/** The browsers that follow changes, by Server-Sent Events. */
export interface Viewers {
  readonly count: number;
  /** Adds an answer to the viewers, sending it everything first; false when there are too many. */
  add(response: ServerResponse): boolean;
  /** Sends the fragments that changed since the last call. */
  tell(fragments: Readonly<Record<string, string>>): void;
  close(): void;
}

const MOST_VIEWERS = 20;
const HEARTBEAT_MS = 15_000;
/** A viewer with more unsent bytes is skipped: it gets the newest state when it reads again. */
const MOST_UNSENT = 256 * 1024;

/** @param all all fragments of the page, id → HTML, for a viewer that is new or has missed something */
export function openViewers(all: () => Readonly<Record<string, string>>): Viewers {
  const viewers = new Map<ServerResponse, { missed: boolean }>();
  let last: Readonly<Record<string, string>> = {};
  const send = (response: ServerResponse, fragments: Readonly<Record<string, string>>) =>
    response.write(`data: ${JSON.stringify(fragments)}\n\n`);
  const heartbeat = setInterval(() => {
    for (const response of viewers.keys()) response.write(': still here\n\n');
  }, HEARTBEAT_MS);
  heartbeat.unref();
  return {
    get count() {
      return viewers.size;
    },
    add(response) {
      if (viewers.size >= MOST_VIEWERS) return false;
      response.writeHead(200, {
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
      });
      // A browser that lost the connection retries after a second.
      response.write('retry: 1000\n\n');
      send(response, all());
      viewers.set(response, { missed: false });
      response.once('close', () => viewers.delete(response));
      return true;
    },
    tell(fragments) {
      const changed = Object.fromEntries(Object.entries(fragments).filter(([id, html]) => last[id] !== html));
      last = fragments;
      const nothing = Object.keys(changed).length === 0;
      for (const [response, viewer] of viewers) {
        if (response.writableLength > MOST_UNSENT) viewer.missed = true;
        else if (viewer.missed) {
          viewer.missed = false;
          send(response, fragments);
        } else if (!nothing) send(response, changed);
      }
    },
    close() {
      clearInterval(heartbeat);
      for (const response of viewers.keys()) response.end();
      viewers.clear();
    },
  };
}
