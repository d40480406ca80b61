/** The package for pages of others: packed, installed into an empty folder, and used by a page in plain JavaScript. */
import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type RequestListener, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import ts from 'typescript';
import { viewSchema } from '#pages/projection.ts';
import { projectionsOf } from '#pages/projections.ts';
import { pause } from '#platform/lifecycle.ts';
import { silentLog } from '#platform/log.ts';
import { packKit } from '../../generate/page-kit.ts';
import { freePort } from '../../services/local-stack/ports.ts';
import { type LocalPostgres, startPostgres } from '../../services/local-stack/postgres.ts';
import { type ManagedProcess, startProcess } from '../../services/local-stack/process.ts';
import { migrateExternalPage } from '../../services/migrate/databases.ts';
import { openViewStore } from '../../services/projector/view-store.ts';

jest.setTimeout(60_000);

const EXAMPLE = fileURLToPath(new URL('../../examples/node-page', import.meta.url));
const HOSTILE = `<img src=x onerror=alert(1)>"'&`;
const DELIVERIES = ['asynchronous', 'hybrid'] as const;
type ViewDelivery = (typeof DELIVERIES)[number];

let folder: string;
let postgres: LocalPostgres;
let source: Server;
let answers: RequestListener;
const pages = new Map<ViewDelivery, { url: string; healthUrl: string; process: ManagedProcess }>();

/** The oldest Node on this machine that the package is for. */
function oldestNode(): string {
  const found = execFileSync('bash', ['-c', 'type -aP node || true'], { encoding: 'utf8' })
    .trim()
    .split('\n');
  const versions = [...found, process.execPath].map((path) => {
    const [, major, minor] = /^v(\d+)\.(\d+)/.exec(execFileSync(path, ['--version'], { encoding: 'utf8' }))!;
    return { path, age: Number(major) * 100 + Number(minor) };
  });
  return versions.filter(({ age }) => age >= 2_018).sort((a, b) => a.age - b.age)[0]!.path;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'page-kit-'));
  await chmod(folder, 0o755);
  const installed = join(folder, 'page');
  cpSync(EXAMPLE, installed, { recursive: true });
  cpSync(await packKit(folder), join(installed, 'top-clients-page-kit.tgz'));
  execFileSync('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', '--no-package-lock'], {
    cwd: installed,
    stdio: 'pipe',
  });

  postgres = await startPostgres({ dataDir: join(folder, 'postgres') });
  await postgres.createUsers(['reader']);
  source = createServer((req, res) => answers(req, res));
  const sourcePort = await freePort();
  await new Promise<void>((resolve) => source.listen(sourcePort, '127.0.0.1', resolve));
  const node = oldestNode();
  for (const delivery of DELIVERIES) {
    await postgres.createDatabase(delivery);
    await migrate(delivery, 1);
    const [port, healthPort] = [await freePort(), await freePort()];
    const healthUrl = `http://127.0.0.1:${healthPort}`;
    const running = await startProcess({
      name: `page ${delivery}`,
      command: node,
      args: ['page.js'],
      cwd: installed,
      env: {
        NODE_OPTIONS: undefined,
        DELIVERY: delivery,
        DATABASE_URL: postgres.url(delivery, 'reader'),
        SOURCE_URL: `http://127.0.0.1:${sourcePort}`,
        PORT: String(port),
        HEALTH_PORT: String(healthPort),
        SHUTDOWN_DELAY_MS: '0',
      },
      logFile: join(folder, `${delivery}.log`),
      readyUrl: `${healthUrl}/readyz`,
    });
    pages.set(delivery, { url: `http://127.0.0.1:${port}`, healthUrl, process: running });
  }
}, 120_000);
afterAll(async () => {
  // Safe to repeat; it was done before where the tests came that far.
  for (const { process: page } of pages.values()) await page.stop();
  await postgres?.stop();
  source?.closeAllConnections();
  await new Promise((resolve) => source?.close(resolve));
  await rm(folder, { recursive: true, force: true });
});
beforeEach(() => {
  answers = unreachable;
});

const unreachable: RequestListener = (req) => void req.socket.destroy();
const migrate = (delivery: ViewDelivery, version: number, show = false) =>
  migrateExternalPage('shop', postgres.url(delivery), { delivery, version }, ['reader'], silentLog, {}, show);

const ID = '0f8d1a3e-6d3c-4b4e-9f3c-1f6d4f0a7f52';
const client = (name: string) => ({
  id: ID,
  name,
  industry: '',
  description: '',
  logo: null,
  from: null,
  to: null,
});

/** Writes as a projector does. */
async function write(
  delivery: ViewDelivery,
  sellerId: number,
  version: number,
  names: readonly string[],
  view = 1,
) {
  const projection = projectionsOf('shop')[delivery];
  const store = await openViewStore(
    {
      url: postgres.url(delivery),
      applicationName: 'projector',
      statementTimeoutMs: 10_000,
      connectTimeoutMs: 5_000,
      searchPath: [viewSchema(delivery, view)],
    },
    projection,
  );
  try {
    await store.upsert([
      projection.toRow({
        sellerId,
        version,
        committedAt: '2026-11-28T10:00:00.000Z',
        change: { type: 'seller-erased' },
        clients: names.map(client),
      }),
    ]);
  } finally {
    await store.close();
  }
}

interface Seen {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly tookMs: number;
}
async function visit(delivery: ViewDelivery, path: string, accept = 'application/json'): Promise<Seen> {
  const began = performance.now();
  const answer = await fetch(`${pages.get(delivery)!.url}${path}`, {
    headers: { accept },
    signal: AbortSignal.timeout(5_000),
  });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, text, tookMs: performance.now() - began };
}
const shown = async (delivery: ViewDelivery, path: string) => {
  const { text, headers } = await visit(delivery, path);
  const { outcome, version, clients } = JSON.parse(text).topClients as {
    outcome: string;
    version: number | null;
    clients: { name: string }[];
  };
  expect(headers.get('top-clients')).toBe(outcome);
  return { outcome, version, names: clients.map(({ name }) => name) };
};
async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 15_000;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`waited in vain until ${what}`);
    await pause(20);
  }
}
/** A source that has this one list. */
const has =
  (sellerId: number, version: number, names: readonly string[]): RequestListener =>
  (_, res) =>
    void res.writeHead(200, { 'content-type': 'application/json' }).end(
      JSON.stringify({
        sellerId,
        version,
        clients: names.map(client),
        updatedAt: '2026-11-29T10:00:00.000Z',
      }),
    );

describe('a page that keeps whole lists', () => {
  test('shows them as they are written, without the source, over another version of the view', async () => {
    expect(await shown('asynchronous', '/sellers/1')).toEqual({ outcome: 'full', version: 0, names: [] });
    await write('asynchronous', 1, 3, ['Spotify']);
    await until('it shows the write', async () => (await shown('asynchronous', '/sellers/1')).version === 3);
    await migrate('asynchronous', 2);
    await write('asynchronous', 1, 4, ['Spotify', 'Nike'], 2);
    await migrate('asynchronous', 2, true);
    await until(
      'it shows the other view',
      async () => (await shown('asynchronous', '/sellers/1')).version === 4,
    );
    await migrate('asynchronous', 1, true);
    await until(
      'it shows the first again',
      async () => (await shown('asynchronous', '/sellers/1')).version === 3,
    );
    // What a seller has erased is not shown for longer than a notification takes.
    await write('asynchronous', 1, 5, []);
    await until('it is gone', async () => (await shown('asynchronous', '/sellers/1')).names.length === 0);
  });

  test('escapes what sellers typed, and says what it shows', async () => {
    await write('asynchronous', 2, 1, [HOSTILE]);
    const { text, headers } = await visit('asynchronous', '/sellers/2', 'text/html');
    expect(text).toContain('&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;');
    expect(text).not.toContain('<img');
    expect(headers.get('top-clients-version')).toBe('1');
    expect(Number(headers.get('top-clients-age'))).toBeGreaterThan(0);
    expect(headers.get('cache-control')).toBe('no-cache');
    expect(headers.get('vary')).toBe('Top-Clients-Min-Version, Accept');
  });

  test('asks the source for a version it does not have, and says so when it cannot', async () => {
    await write('asynchronous', 3, 1, ['Spotify']);
    expect(await shown('asynchronous', '/sellers/3?minVersion=2')).toEqual({
      outcome: 'stale',
      version: 1,
      names: ['Spotify'],
    });
    answers = has(3, 2, ['Spotify', 'Nike']);
    await until('the breaker lets a call through', async () => {
      const { outcome } = await shown('asynchronous', '/sellers/3?minVersion=2');
      return outcome === 'full';
    });
    expect((await visit('asynchronous', '/sellers/3?minVersion=7')).status).toBe(400);
    expect((await visit('asynchronous', '/sellers/3?minVersion=x')).status).toBe(400);
    expect((await visit('asynchronous', '/sellers/x')).status).toBe(404);
  });

  test('answers within its deadline while its database is away, and goes on when it is back', async () => {
    await write('asynchronous', 4, 1, ['Spotify']);
    expect((await shown('asynchronous', '/sellers/4')).outcome).toBe('full');
    await postgres.stop();
    await until(
      'the cache is not trusted',
      async () => (await shown('asynchronous', '/sellers/4')).outcome === 'missing',
    );
    const { tookMs, headers } = await visit('asynchronous', '/sellers/4');
    expect(tookMs).toBeLessThan(1_000);
    expect(headers.get('cache-control')).toBe('no-store');
    await postgres.restart();
    await until('it is back', async () => (await shown('asynchronous', '/sellers/4')).outcome === 'full');
  });

  test('counts its renders under our names', async () => {
    const text = await (await fetch(`${pages.get('asynchronous')!.healthUrl}/metrics`)).text();
    expect(text).toMatch(
      /topclients_page_renders_total\{page="shop",delivery="asynchronous",outcome="full"\} [1-9]/,
    );
    expect(text).toMatch(
      /topclients_page_renders_total\{page="shop",delivery="asynchronous",outcome="missing"\} [1-9]/,
    );
    // The database shows the second by now, and the page looks every few seconds.
    expect(text).toMatch(/topclients_page_view_version\{page="shop",delivery="asynchronous"\} [12]\n/);
    expect(text).toContain('topclients_page_min_version_refused_total{page="shop",result="beyond"} 1');
  });
});

describe('a page that keeps ids', () => {
  test('asks the source for those who have clients, and nobody else', async () => {
    let asked = 0;
    await write('hybrid', 1, 2, ['Spotify']);
    answers = (req, res) => {
      asked += 1;
      has(1, 2, ['Spotify'])(req, res);
    };
    expect(await shown('hybrid', '/sellers/9')).toEqual({ outcome: 'full', version: 0, names: [] });
    expect(asked).toBe(0);
    // It has 150 ms for the source, which a busy machine may not keep at first.
    await until('the source is asked in time', async () => {
      const { outcome } = await shown('hybrid', '/sellers/1');
      return outcome === 'full';
    });
    const before = asked;
    expect(await shown('hybrid', '/sellers/1')).toEqual({ outcome: 'full', version: 2, names: ['Spotify'] });
    expect(asked).toBe(before + 1);
  });

  test('is whole without the list while the source is slow, dead, or answers 500', async () => {
    await write('hybrid', 2, 1, ['Spotify']);
    const slow: RequestListener = (_, res) => void setTimeout(() => res.end('{}'), 2_000).unref();
    const fails: RequestListener = (_, res) => void res.writeHead(500).end();
    for (const answer of [slow, fails, unreachable]) {
      answers = answer;
      const { status, tookMs, headers } = await visit('hybrid', '/sellers/2');
      expect([status, headers.get('top-clients'), headers.get('top-clients-version')]).toEqual([
        200,
        'missing',
        null,
      ]);
      expect(tookMs).toBeLessThan(700);
    }
  });
});

test('a page that is told to stop answers what came, and ends by itself', async () => {
  for (const { process: page } of pages.values()) {
    expect(await page.stop()).toEqual({ code: 0, signal: null });
    expect(readFileSync(page.logFile, 'utf8')).not.toMatch(/unhandled|TypeError/i);
  }
});

test('it leaves the driver of the page as it is, says what is wrong with an option, compares, and has types', async () => {
  const installed = join(folder, 'page');
  const program = `
    import pg from 'pg';
    import { openTopClients } from 'top-clients-page-kit';
    const complaints = [];
    for (const options of [
      { page: 'gig', delivery: 'asynchronous', database: { url: 'postgresql://x/y' } },
      { page: 'shop', delivery: 'hybrid', database: { url: 'postgresql://x/y' } },
      { page: 'shop', delivery: 'synchronous', database: { url: 'postgresql://x/y' } },
      { page: 'shop', delivery: 'asynchronous', database: { url: 'postgresql://x/y' }, deadlineMs: 100 },
      undefined,
      { page: 'shop', delivery: 'asynchronous' },
      { page: 'shop', delivery: 'asynchronous', database: { url: process.env.NOT_SET } },
      { page: 'shop', delivery: 'asynchronous', database: { url: 'nonsense' } },
      { page: 'shop', delivery: 'asynchronous', database: { url: 'postgresql://x/y' }, source: { url: process.env.NOT_SET } },
    ]) try { openTopClients(options); complaints.push('none'); } catch (err) { complaints.push(err.message); }
    // Two pages of one process, in one registry.
    const one = openTopClients({ page: 'one', delivery: 'asynchronous', database: { url: 'postgresql://x/y' } });
    const two = openTopClients({ page: 'two', delivery: 'asynchronous', database: { url: 'postgresql://x/y' }, registry: one.registry });
    complaints.push(await one.read(1, { minVersion: NaN }).catch((err) => err.message));
    // What a visitor typed is refused, and is no error of the page.
    const typed = ['abc', '1.5', '0', '9'.repeat(16)].map((text) => {
      const res = { setHeader() {}, end() {} };
      one.express(() => Number(text))({ url: '/', headers: {}, socket: {} }, res, () => { res.statusCode = 'next'; });
      return res.statusCode;
    });
    await Promise.all([one.close(), one.close(), two.close()]);
    console.log(JSON.stringify({ complaints, typed, bigint: pg.types.getTypeParser(20)('5') }));`;
  writeFileSync(join(installed, 'options.mjs'), program);
  const { complaints, typed, bigint } = JSON.parse(
    execFileSync(oldestNode(), ['options.mjs'], {
      cwd: installed,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'] },
    }),
  );
  expect(bigint).toBe('5');
  expect(complaints).toEqual([
    'page is taken by a part of Top Clients',
    expect.stringMatching(/^delivery hybrid needs source/),
    'delivery must be asynchronous or hybrid, not synchronous',
    'deadlineMs must be at least 50 more than source.deadlineMs, which is 150',
    'openTopClients takes an object with page, delivery and database at least',
    expect.stringMatching(/^database\.url is not set: give the address/),
    expect.stringMatching(/^database\.url is not set: give the address/),
    expect.stringMatching(/^database\.url: .*postgresql:/),
    expect.stringMatching(/^source\.url must be an address like http/),
    'NaN is no version: minVersion is a whole number from 0 on',
  ]);
  expect(typed).toEqual([404, 404, 404, 404]);

  const compares = `
    import { openTopClients } from 'top-clients-page-kit';
    const kit = openTopClients({ page: 'shop', delivery: 'asynchronous', database: { url: process.env.DATABASE_URL } });
    const [id, name] = ['${ID}', 'Spotify'];
    const found = [];
    for (const [version, clients] of [[2, [{ id, name }]], [2, []], [3, []], [1, []]])
      found.push(await kit.compare(20, { version, clients }));
    console.log(JSON.stringify({ found, many: [...(await kit.readMany([20, 21])).values()].map(({ version }) => version),
      counted: await kit.registry.getSingleMetricAsString('topclients_page_shadow_reads_total') }));
    await kit.close();`;
  writeFileSync(join(installed, 'compares.mjs'), compares);
  await write('asynchronous', 20, 2, ['Spotify']);
  const env = { PATH: process.env['PATH'], DATABASE_URL: postgres.url('asynchronous', 'reader') };
  const said = execFileSync(oldestNode(), ['compares.mjs'], { cwd: installed, encoding: 'utf8', env });
  const { found, many, counted } = JSON.parse(said);
  expect([found, many]).toEqual([
    ['equal', 'different', 'behind', 'ahead'],
    [2, 0],
  ]);
  expect(counted).toContain('topclients_page_shadow_reads_total{page="shop",result="different"} 1');

  const snippet = join(installed, 'snippet.mts');
  writeFileSync(
    snippet,
    `import { openTopClients, type List } from 'top-clients-page-kit';
    const kit = openTopClients({ page: 'shop', delivery: 'asynchronous', database: { url: '' } });
    export const list: Promise<List> = kit.read(1, { minVersion: 2 });
    // @ts-expect-error: a delivery that is none
    openTopClients({ page: 'shop', delivery: 'eventual', database: { url: '' } });`,
  );
  const compiled = ts.createProgram([snippet], {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: ['node'],
    typeRoots: [fileURLToPath(new URL('../../node_modules/@types', import.meta.url))],
  });
  expect(
    ts
      .getPreEmitDiagnostics(compiled)
      .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n')),
  ).toEqual([]);
});
