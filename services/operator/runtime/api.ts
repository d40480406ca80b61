import { OPERATOR } from '#cdk8s/own-names.ts';
import { type ClientPool, openClientPool } from '#platform/client-pool.ts';
import type { Access } from './access.ts';
import { KubeError } from './kube.ts';

/** What a request does, in Kubernetes' words; for metrics. */
export type Verb = 'get' | 'list' | 'watch' | 'apply' | 'create' | 'patch' | 'replace' | 'delete';

export interface ApiRequest {
  readonly verb: Verb;
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: { readonly type: string; readonly json: unknown };
  /** What errors call the object: `Deployment top-clients/relay`. */
  readonly about: string;
}

export interface WatchEvent {
  readonly type: string;
  // biome-ignore lint/suspicious/noExplicitAny: an object, a bookmark or a Status, by type
  readonly object: any;
}

/** The API server's HTTP, without knowledge of kinds. All refusals and failures are thrown as `KubeError`. */
export interface Api {
  /**
   * @param deadlineMs covers everything, from waiting for a connection to the last byte of the answer
   * @param signal aborts the request
   */
  call(request: ApiRequest, deadlineMs: number, signal?: AbortSignal): Promise<unknown>;
  /**
   * Resolves when the server has accepted the watch. The events end when the server ends the watch or `end` aborts.
   * They throw when the connection breaks. The caller has to notice silence.
   */
  watch(
    request: Pick<ApiRequest, 'path' | 'query' | 'about'>,
    deadlineMs: number,
    end: AbortController,
  ): Promise<AsyncGenerator<WatchEvent, void>>;
  /** Aborts all calls and watches. */
  close(): Promise<void>;
}

/** Concurrent calls; further ones wait within their deadline. Watches have connections of their own. */
const CONNECTIONS = 16;
// etcd accepts objects of 1.5 MB; a page of 500 pods is about 10 MB.
const LARGEST_ANSWER = 64 * 1024 * 1024;
const LARGEST_EVENT = 16 * 1024 * 1024;

/** @param onAnswer called for every answer; code 0: there was none */
export function openApi(access: Access, onAnswer: (verb: Verb, code: number) => void = () => {}): Api {
  const prefix = access.server.pathname.replace(/\/+$/, '');
  const pool = (connections: number | null, maxResponseSize: number) =>
    openClientPool(access.server.origin, {
      connections,
      pipelining: 1,
      // One connection a request: with HTTP/2 one dead connection would hold up all calls and watches.
      allowH2: false,
      connect: { ...access.tls, timeout: 5_000, keepAlive: true, keepAliveInitialDelay: 15_000 },
      headersTimeout: 0,
      bodyTimeout: 0,
      maxResponseSize,
    });
  const calls = pool(CONNECTIONS, LARGEST_ANSWER);
  const watches = pool(null, -1);

  /** Resolves to the head of the answer. A refused token may have been renewed: it is read again once. */
  async function send(from: ClientPool, request: ApiRequest, signal: AbortSignal) {
    for (let refused = false; ; refused = true) {
      const answer = await from.request({
        method: request.method,
        path: `${prefix}${request.path}${request.query ? `?${new URLSearchParams(request.query)}` : ''}`,
        headers: {
          accept: 'application/json',
          'user-agent': OPERATOR,
          ...(await access.headers(refused)),
          ...(request.body ? { 'content-type': request.body.type } : {}),
        },
        body: request.body ? JSON.stringify(request.body.json) : null,
        signal,
      });
      if (answer.statusCode !== 401 || refused) return answer;
      await answer.body.dump();
    }
  }

  /**
   * One request and its answer; every failure becomes a KubeError. The deadline applies until `read` returns; a body
   * that `read` leaves unread still ends with `end`.
   */
  async function exchange<T>(
    from: ClientPool,
    request: ApiRequest,
    deadlineMs: number,
    end: AbortController,
    read: (body: Body) => Promise<T>,
  ): Promise<T> {
    let overdue = false;
    const timer = setTimeout(() => {
      overdue = true;
      end.abort();
    }, deadlineMs);
    let code = 0;
    try {
      const answer = await send(from, request, end.signal);
      if (answer.statusCode >= 300) {
        const text = await answer.body.text();
        code = answer.statusCode;
        throw refusal(request, code, answer.headers['retry-after'], text);
      }
      const value = await read(answer.body);
      code = answer.statusCode;
      return value;
    } catch (err) {
      if (err instanceof KubeError) throw err;
      throw overdue
        ? noAnswer(request, 'DeadlineExceeded', `no whole answer within ${deadlineMs} ms`, err)
        : noAnswer(request, end.signal.aborted ? 'BrokenOff' : 'Unreachable', (err as Error).message, err);
    } finally {
      clearTimeout(timer);
      onAnswer(request.verb, code);
    }
  }

  return {
    async call(request, deadlineMs, signal) {
      // Not AbortSignal.any: this signal may live as long as the process, and the listener must be removed.
      const end = new AbortController();
      const cut = () => end.abort();
      if (signal?.aborted) cut();
      signal?.addEventListener('abort', cut);
      try {
        return await exchange(calls, request, deadlineMs, end, async (body) => JSON.parse(await body.text()));
      } finally {
        signal?.removeEventListener('abort', cut);
      }
    },
    watch(request, deadlineMs, end) {
      const whole: ApiRequest = { ...request, verb: 'watch', method: 'GET' };
      return exchange(watches, whole, deadlineMs, end, async (body) => events(body, whole, end.signal));
    },
    async close() {
      await Promise.all([calls.destroy(), watches.destroy()]);
    },
  };
}

type Body = Awaited<ReturnType<ClientPool['request']>>['body'];

function noAnswer(request: ApiRequest, reason: string, what: string, cause: unknown): KubeError {
  const err = new KubeError(`${request.verb} ${request.about}: ${what}`, 0, reason);
  err.cause = cause;
  return err;
}

/** What the body (a Status) and the head of a refusal say. */
function refusal(request: ApiRequest, code: number, retryAfter: unknown, text: string): KubeError {
  // Proxies, and a server that is still starting, answer plain text.
  let status: { message?: string; reason?: string; details?: { retryAfterSeconds?: number } } = {};
  try {
    status = (JSON.parse(text) as typeof status | null) ?? {};
  } catch {
    status.message = text.slice(0, 500);
  }
  const seconds = Number(retryAfter ?? status.details?.retryAfterSeconds);
  return new KubeError(
    `${request.verb} ${request.about}: ${code} ${status.reason ?? ''}: ${status.message ?? 'no reason given'}`,
    code,
    status.reason ?? 'Unknown',
    Number.isFinite(seconds) && seconds >= 0 ? seconds * 1_000 : null,
  );
}

/** One JSON document a line, however the chunks are cut. */
async function* events(body: Body, request: ApiRequest, end: AbortSignal): AsyncGenerator<WatchEvent, void> {
  const decoder = new TextDecoder();
  let started: string[] = [];
  let length = 0;
  try {
    for await (const piece of body) {
      const lines = decoder.decode(piece as Buffer, { stream: true }).split('\n');
      started.push(lines[0]!);
      length += lines[0]!.length;
      if (length > LARGEST_EVENT) throw new Error(`an event of more than ${LARGEST_EVENT} characters`);
      if (lines.length === 1) continue;
      lines[0] = started.join('');
      started = [lines.pop()!];
      length = started[0]!.length;
      for (const line of lines) if (line !== '') yield JSON.parse(line) as WatchEvent;
    }
  } catch (err) {
    if (!end.aborted) throw noAnswer(request, 'Unreachable', (err as Error).message, err);
  } finally {
    // Otherwise the server would keep sending to a reader that stopped early.
    body.destroy();
  }
}
