/** Asks the page as a buyer's browser does: each time on a connection of its own, and never for longer than it may take. */
import { get as getHttp, type IncomingMessage } from 'node:http';
import { get as getHttps } from 'node:https';
import { text } from 'node:stream/consumers';
import type { Visit } from './rules.ts';

export async function visitPage(
  url: string,
  sellerId: number,
  patienceMs: number,
  headers: Readonly<Record<string, string>> = {},
): Promise<Visit> {
  const at = performance.now();
  const took = () => performance.now() - at;
  const signal = AbortSignal.timeout(patienceMs);
  try {
    const answer = await answerOf(url, headers, signal);
    const heads = Object.entries(answer.headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(', ') : value,
    ]);
    return {
      ...{ sellerId, text: await text(answer), at, ms: took(), status: answer.statusCode!, error: null },
      headers: Object.fromEntries(heads),
    };
  } catch (err) {
    const { message, code } = err as NodeJS.ErrnoException;
    const error = signal.aborted ? 'none came' : (code ?? message);
    return { sellerId, at, ms: took(), status: null, error, headers: {}, text: '' };
  }
}

function answerOf(
  url: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const get = url.startsWith('https:') ? getHttps : getHttp;
  return new Promise((resolve, reject) => {
    const accept = 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.8';
    // Without an agent: a connection that is kept could be closed by the page just now, which would look like its fault.
    get(url, { agent: false, signal, headers: { accept, ...headers } }, resolve).once('error', reject);
  });
}
