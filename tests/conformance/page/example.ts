/**
 * A page that keeps every rule, as small as it can be: `DATABASE_URL=… SOURCE_URL=… PORT=9000 node example.ts`. It reads
 * `top_clients.lists` at every visit and caches nothing. A habit of it can be replaced, to see that the rule notices.
 */
import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { Pool } from 'pg';
import { Counter, Histogram, Registry } from 'prom-client';

export interface Row {
  readonly version: number;
  readonly committedAt: number;
  readonly clients: readonly { readonly name: string }[];
}
type Read = (sellerId: number) => Promise<Row>;
type ExampleAnswer = {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: string;
};

export const GOOD = {
  /** Where a list comes from. */
  list: (sellerId: number, read: Read, _ask: Read): Promise<Row> => read(sellerId),
  /** What is answered without the database. */
  without: (): ExampleAnswer | Promise<ExampleAnswer> => ({
    ...{ status: 503, headers: { 'cache-control': 'no-store' }, body: 'We will be right back.' },
  }),
  inHtml: (text: string) => text.replaceAll(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`),
  headers: (all: Record<string, string>) => all,
  heedsMinVersion: true,
  metrics: 'topclients_page',
};
export type Habits = typeof GOOD;

/** Deadlines in ms: of all of it, which leaves time to send it within 1,000 ms, and of what it waits for. */
const [PAGE_MS, DATABASE_MS, SOURCE_MS] = [900, 750, 150];
const NEVER: Row = { version: 0, committedAt: 0, clients: [] };

export function openExample(databaseUrl: string, sourceUrl: string, habits: Partial<Habits> = {}) {
  const { list, without, inHtml, headers, heedsMinVersion, metrics } = { ...GOOD, ...habits };
  const pool = new Pool({
    ...{ connectionString: databaseUrl, max: 4 },
    ...{ connectionTimeoutMillis: DATABASE_MS, query_timeout: DATABASE_MS },
  });
  pool.on('error', () => {});
  const registers = [new Registry()];
  const renders = new Counter({
    ...{ name: `${metrics}_renders_total`, help: 'Pages answered', registers },
    labelNames: ['page', 'delivery', 'outcome'],
  });
  const duration = new Histogram({
    ...{ name: `${metrics}_render_duration_seconds`, help: 'Time to the answer', registers },
    labelNames: ['page', 'delivery'],
  });
  const labels = { page: 'shop', delivery: 'asynchronous' };

  const read: Read = async (sellerId) => {
    const { rows } = await pool.query(
      'select version, committed_at, clients from top_clients.lists where seller_id = $1',
      [sellerId],
    );
    const [row] = rows;
    return row === undefined
      ? NEVER
      : { version: Number(row.version), committedAt: row.committed_at.getTime(), clients: row.clients };
  };
  const ask: Read = async (sellerId) => {
    const answer = await fetch(`${sourceUrl}/v1/sellers/${sellerId}/top-clients`, {
      signal: AbortSignal.timeout(SOURCE_MS),
    });
    if (!answer.ok) throw new Error(`the source answers ${answer.status}`);
    const { version, updatedAt, clients } = (await answer.json()) as Row & { updatedAt: string };
    return { version, committedAt: Date.parse(updatedAt), clients };
  };

  async function render(sellerId: number, minVersion: number): Promise<ExampleAnswer> {
    let outcome = 'full';
    let row = await list(sellerId, read, ask);
    if (row.version < minVersion && heedsMinVersion) {
      const asked = await ask(sellerId).catch(() => null);
      if (asked !== null && asked.version < minVersion) {
        return { status: 400, headers: { 'cache-control': 'no-store' }, body: 'Nobody has that version.' };
      }
      if (asked === null) outcome = 'stale';
      row = asked ?? row;
    }
    return {
      status: 200,
      headers: {
        'top-clients': outcome,
        'top-clients-version': String(row.version),
        ...(row.version === 0
          ? {}
          : { 'top-clients-age': String(Math.max(0, Date.now() - row.committedAt)) }),
        'cache-control': outcome === 'full' ? 'no-cache' : 'no-store',
        vary: 'Top-Clients-Min-Version',
      },
      body: `<!doctype html><title>Seller ${sellerId}</title><ul>${row.clients.map(({ name }) => `<li>${inHtml(name)}</li>`).join('')}</ul>`,
    };
  }

  const server = createServer(async (req, res) => {
    const { pathname, searchParams } = new URL(req.url!, 'http://page');
    if (pathname === '/metrics') return void res.end(await registers[0]!.metrics());
    const [, sellerId] = /^\/sellers\/([1-9]\d{0,14})$/.exec(pathname) ?? [];
    if (sellerId === undefined) return void res.writeHead(404).end();
    const done = duration.startTimer(labels);
    const min = searchParams.get('minVersion') ?? req.headers['top-clients-min-version'] ?? '0';
    const late = new AbortController();
    const answer = await Promise.race([
      render(Number(sellerId), Number(min)).catch(without),
      delay(PAGE_MS, undefined, { signal: late.signal }).then(without, without),
    ]);
    late.abort();
    done();
    renders.inc({ ...labels, outcome: answer.headers['top-clients'] ?? 'error' });
    res.writeHead(answer.status, { 'content-type': 'text/html; charset=utf-8', ...headers(answer.headers) });
    res.end(answer.body);
  });
  return { server, close: () => pool.end() };
}

if (import.meta.main) {
  const { DATABASE_URL = '', SOURCE_URL = '', PORT = '9000' } = process.env;
  openExample(DATABASE_URL, SOURCE_URL).server.listen(Number(PORT));
}
