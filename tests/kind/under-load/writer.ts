/** Sellers inside the cluster who write all the time, each change with a key by which it may be repeated, and read it back. */
import type { Cluster } from '../cluster.ts';
import { runUntilEnded } from '../visitor.ts';

/** What sellers were told. */
export interface Written {
  /** Changes that were acknowledged: the seller, the version, the description that was given, and when, in ms. */
  readonly acknowledged: readonly {
    readonly seller: number;
    readonly version: number;
    readonly description: string;
    readonly at: number;
  }[];
  /** Requests that were repeated because nobody answered, or with 5xx or 429: when, and why. */
  readonly repeated: readonly string[];
  /** Reads that were older than what had been acknowledged before they began. */
  readonly stale: readonly string[];
  /** Answers that nobody should get. */
  readonly wrong: readonly string[];
  /** The longest time between two acknowledgements of anybody, in ms, and when it ended. */
  readonly longestGapMs: number;
  readonly gapEndedAt: string;
}

const WRITE = `
const { source, issuer, sellers, perSecond } = JSON.parse(process.argv[1]);
const told = { acknowledged: [], repeated: [], stale: [], wrong: [], longestGapMs: 0, gapEndedAt: '' };
let stopped = false;
process.stdin.on('data', () => {}).on('end', () => { stopped = true; });
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const ask = async (url, { body, ...more } = {}) => {
  const answer = await fetch(url, { ...more, ...(body ? { body: JSON.stringify(body) } : {}), signal: AbortSignal.timeout(5000) });
  const text = await answer.text();
  return { status: answer.status, version: Number((answer.headers.get('etag') ?? '').replaceAll('"', '')), body: text ? JSON.parse(text) : null };
};
let last = null;
const acknowledge = (one) => {
  const now = Date.now();
  if (last !== null && now - last > told.longestGapMs) { told.longestGapMs = now - last; told.gapEndedAt = new Date(now).toISOString(); }
  last = now;
  told.acknowledged.push({ ...one, at: now });
};
const surely = async (url) => {
  for (;;) {
    const answer = await ask(url).catch(() => null);
    if (answer?.status === 200) return answer.body;
    await pause(200);
  }
};
const NAME = 'Written to all the time';
const token = {};
const again = (since, why) => told.repeated.push(new Date().toISOString() + ' ' + why + ', ' + (Date.now() - since) + ' ms after the first');
const write = async (seller, method, url, body) => {
  const key = crypto.randomUUID();
  const since = Date.now();
  for (let attempt = 0; ; attempt++) {
    if (attempt > 0) await pause(200);
    // Whoever ends waits no longer for a source that is gone.
    if (stopped && Date.now() - since > 60_000) return { status: 0, body: {} };
    let answer;
    try {
      answer = await ask(url, { method, body, headers: { authorization: 'Bearer ' + token[seller], 'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json', 'idempotency-key': key } });
    } catch (err) { again(since, err.cause?.code ?? err.cause?.message ?? err.message); continue; }
    if (answer.status >= 500 || answer.status === 429) { again(since, answer.status); continue; }
    if (answer.status > 201) told.wrong.push(seller + ' ' + method + ' ' + answer.status + ' ' + JSON.stringify(answer.body));
    return answer;
  }
};
const work = async (seller) => {
  const of = source + '/v1/sellers/' + seller;
  const list = await surely(of + '/top-clients');
  // One for all runs: a seller shows twenty clients at most.
  const id = list.clients.find(({ name }) => name === NAME)?.id ?? (await write(seller, 'POST', of + '/clients', { name: NAME })).body.id;
  for (let count = 1; !stopped; count++) {
    const due = Date.now() + (1000 * sellers.length) / perSecond;
    const description = 'Change ' + count;
    const { status, version } = await write(seller, 'PATCH', of + '/clients/' + id, { description });
    if (status === 200) {
      acknowledge({ seller, version, description });
      const read = await ask(of + '/top-clients').catch(() => null);
      if (read?.status === 200) {
        const shown = read.body.clients.find((one) => one.id === id)?.description;
        if (read.body.version < version || shown !== description) told.stale.push(seller + ' read ' + read.body.version + ' ' + shown + ' after ' + version + ' ' + description);
      }
    }
    await pause(Math.max(0, due - Date.now()));
  }
};
(async () => {
  for (const seller of sellers) token[seller] = (await surely(issuer + '/token?seller=' + seller)).access_token;
  await Promise.all(sellers.map(work));
  // A pipe takes 64 KB at once.
  process.stdout.write(JSON.stringify(told) + '\\n', () => process.exit(0));
})();
`;

/**
 * Starts sellers who write until the returned function is called, in the pod of the visitor.
 * @param perSecond changes of all sellers together
 */
export function keepWriting(
  cluster: Cluster,
  sellers: readonly number[],
  perSecond: number,
): () => Promise<Written> {
  const addresses = { source: 'http://top-clients:8080', issuer: 'http://top-clients-issuer:8080' };
  return runUntilEnded(cluster, WRITE, { ...addresses, sellers, perSecond });
}
