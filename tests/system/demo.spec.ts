import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { innerUrl, type PortName, type Ports, portsFrom, SERVERS } from '../../services/demo/addresses.ts';
import { EXAMPLE_PAGES } from '../../services/local-stack/example-pages.ts';
import { isPortFree } from '../../services/local-stack/ports.ts';
import { isAlive } from '../../services/local-stack/process.ts';

const MAIN = fileURLToPath(new URL('../../services/demo/main.ts', import.meta.url));
const MINUTE = 60_000;

let folder: string;
let data: string;
let ports: Ports;
let demo: { child: ChildProcess; output: string };

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'demo-'));
  data = join(folder, 'data');
  ports = portsFrom(await freeBase());
  demo = await start('--sellers', '300');
  // What they need may have to be installed first.
  await until('the pages of examples are ready', examplesAreReady, 4 * MINUTE);
}, 6 * MINUTE);

afterAll(async () => {
  demo?.child.kill('SIGTERM');
  if (demo?.child.exitCode === null && demo.child.signalCode === null) await once(demo.child, 'exit');
  await rm(folder, { recursive: true, force: true });
}, MINUTE);

async function freeBase(): Promise<number> {
  for (let base = 15_080; base < 32_000; base += 100) {
    const free = await Promise.all(Object.values(portsFrom(base)).map((port) => isPortFree(port)));
    if (free.every(Boolean)) return base;
  }
  throw new Error('no seventy free ports in a row');
}

const argv = (...more: string[]) => [MAIN, '--port-base', String(ports.lab), '--data', data, ...more];

/** Starts the demo and resolves when it says that it is ready. */
async function start(...flags: string[]): Promise<typeof demo> {
  const child = spawn(process.execPath, argv(...flags), { stdio: ['ignore', 'pipe', 'pipe'] });
  const started = { child, output: '' };
  await new Promise<void>((resolve, reject) => {
    for (const stream of [child.stdout!, child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        started.output += text;
        if (started.output.includes('Top Clients is ready') && started.output.includes('Logs:')) resolve();
      });
    }
    child.once('exit', () => reject(new Error(`the demo ended:\n${started.output}`)));
  });
  return started;
}

/** The pid of each process of the demo that runs now, by name. */
async function pids(): Promise<Map<string, number>> {
  const recorded = (await readFile(join(data, 'processes'), 'utf8')).trim().split('\n');
  const found = new Map(recorded.map((line) => [line.split(' ')[2]!, Number(line.split(' ')[0])]));
  for (const name of found.keys()) if (/^(migrate|seed)/.test(name)) found.delete(name);
  found.set('kafka', Number(await readFile(join(data, 'kafka', 'kafka.pid'), 'utf8')));
  for (const server of SERVERS) {
    const [postmaster] = (await readFile(join(data, server, 'pgdata', 'postmaster.pid'), 'utf8')).split('\n');
    found.set(server, Number(postmaster));
  }
  return found;
}

const get = (port: number, path: string, headers: Record<string, string> = {}) =>
  fetch(`${innerUrl(port)}${path}`, { headers, signal: AbortSignal.timeout(5_000) });

async function until<T>(
  what: string,
  look: () => Promise<T | false | undefined>,
  withinMs = MINUTE,
): Promise<T> {
  const deadline = Date.now() + withinMs;
  let last: unknown;
  for (;;) {
    try {
      const found = await look();
      if (found) return found;
    } catch (err) {
      last = err;
    }
    if (Date.now() > deadline) throw new Error(`not within ${withinMs / 1_000} s: ${what}`, { cause: last });
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const healthPorts = () =>
  (Object.keys(ports) as PortName[]).filter((name) => name.startsWith('health-')).map((name) => ports[name]);

const examplesAreReady = async () => {
  const cards = (await (await get(ports.lab, '/lab/state')).json()) as Record<string, string>;
  return EXAMPLE_PAGES.every((name) => cards[`example-${name}`]!.includes('Open this page'));
};

const everythingIsReady = () =>
  until('everything is ready', async () => {
    const answers = await Promise.all(healthPorts().map((port) => get(port, '/readyz')));
    return answers.every(({ ok }) => ok);
  });

/** Adds a client as seller 2, until it is accepted, and answers the version that led to. */
async function write(name: string): Promise<number> {
  const { access_token } = (await (await get(ports.lab, '/token?seller=2')).json()) as {
    access_token: string;
  };
  return until(`the client ${name} is accepted`, async () => {
    const answer = await fetch(`${innerUrl(ports['top-clients'])}/v1/sellers/2/clients`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${access_token}`,
        'content-type': 'application/json',
        'idempotency-key': name.replaceAll(/[^\w]/g, '-'),
      },
      body: JSON.stringify({ name }),
      signal: AbortSignal.timeout(5_000),
    });
    if (answer.status !== 201) throw new Error(`${answer.status}: ${await answer.text()}`);
    return Number(answer.headers.get('etag')?.replaceAll('"', ''));
  });
}

const isExample = (port: PortName) => EXAMPLE_PAGES.some((name) => name === port);

const shown =
  (port: PortName, id = 2) =>
  async () => {
    const answer = await get(ports[port], `/${isExample(port) ? 'sellers' : 'gigs'}/${id}`);
    return (
      answer.ok && {
        outcome: answer.headers.get('top-clients'),
        version: Number(answer.headers.get('top-clients-version')),
      }
    );
  };

const reaches = (port: PortName, version: number) =>
  until(`${port} shows version ${version}`, async () => {
    const seen = await shown(port)();
    return seen && seen.version >= version;
  });

const flip = async (form: Record<string, string>) => {
  const answer = await fetch(`${innerUrl(ports.lab)}/lab/switches`, {
    method: 'POST',
    headers: { origin: innerUrl(ports.lab), accept: 'application/json' },
    body: new URLSearchParams(form),
  });
  expect(answer.status).toBe(204);
};

test('every printed address answers', async () => {
  const printed = [...demo.output.matchAll(/http:\/\/localhost:(\d+)(\/[^\s']*)/g)];
  expect(printed.length).toBeGreaterThanOrEqual(7);
  for (const [address, port, path] of printed) {
    expect([
      address,
      (await get(Number(port), path!, { accept: 'text/html,application/json' })).status,
    ]).toEqual([
      address,
      // The self-view of somebody who is not signed in asks for that.
      Number(port) === ports['self-view'] ? 401 : 200,
    ]);
  }
  expect(demo.output).toContain('views equal the source');
});

test(
  'the lab follows a write into the pages of examples, which run beside a source that is down',
  async () => {
    await flip({ target: 'top-clients', action: 'kill' });
    for (const port of EXAMPLE_PAGES) expect(await shown(port, 1)()).toMatchObject({ outcome: 'full' });
    await flip({ target: 'top-clients', action: 'restore' });
    await write('For pages of somebody else');
    await fetch(`${innerUrl(ports.lab)}/lab/writes`, {
      method: 'POST',
      headers: { origin: innerUrl(ports.lab), accept: 'application/json' },
    });
    await until('each card tells when it showed the write', async () => {
      const cards = (await (await get(ports.lab, '/lab/state')).json()) as Record<string, string>;
      return EXAMPLE_PAGES.every((name) =>
        /Last write shown<\/dt><dd>after /.test(cards[`example-${name}`]!),
      );
    });
  },
  2 * MINUTE,
);

test('a second demo in the same folder or on the same ports says what to change and touches nothing', () => {
  const run = (...args: string[]) => spawnSync(process.execPath, args, { encoding: 'utf8' });
  const sameFolder = run(...argv());
  expect(sameFolder.stderr).toMatch(/a demo runs in .*make demo-stop.*--port-base/);
  const samePorts = run(MAIN, '--port-base', String(ports.lab), '--data', join(folder, 'other'));
  expect(samePorts.stderr).toMatch(/in use: port \d+ \(lab\).*--port-base/);
  expect([sameFolder.status, samePorts.status]).toEqual([2, 2]);
});

test(
  'a source that is killed costs the synchronous page its block and the asynchronous one nothing',
  async () => {
    expect(await shown('lab-parallel', 1)()).toMatchObject({ outcome: 'full' });
    await flip({ target: 'top-clients', action: 'kill' });
    for (const port of ['lab-serial', 'lab-parallel', 'lab-hybrid'] as const) {
      await until(`${port} lacks the data`, async () => {
        const seen = await shown(port, 1)();
        return seen && seen.outcome === 'missing';
      });
    }
    expect(await shown('gig', 1)()).toMatchObject({ outcome: 'full' });
    await flip({ target: 'top-clients', action: 'restore' });
    for (const port of ['lab-serial', 'lab-parallel', 'lab-hybrid'] as const) {
      await until(`${port} is full again`, async () => {
        const seen = await shown(port, 1)();
        return seen && seen.outcome === 'full';
      });
    }
  },
  2 * MINUTE,
);

test(
  "while the source's database is dead no page is without the data, writes are refused, and all heals",
  async () => {
    await flip({ target: 'postgres-source', action: 'kill' });
    const { access_token } = (await (await get(ports.lab, '/token?seller=2')).json()) as {
      access_token: string;
    };
    const headers = { authorization: `Bearer ${access_token}` };
    await until('the source says that it cannot', async () => {
      const answer = await get(ports['top-clients'], '/v1/sellers/2/top-clients', headers);
      return answer.status === 503;
    });
    for (const port of ['gig', ...EXAMPLE_PAGES] as const)
      expect([port, await shown(port, 1)()]).toMatchObject([port, { outcome: 'full' }]);
    for (const [port, path] of [
      ['user', '/users/1'],
      ['search', '/search'],
    ] as const)
      expect([port, (await get(ports[port], path)).headers.get('top-clients')]).toEqual([port, 'full']);
    expect((await shown('lab-parallel', 1)()) || null).toMatchObject({ outcome: 'missing' });
    await flip({ target: 'postgres-source', action: 'restore' });
    await reaches('gig', await write("After the source's database"));
  },
  2 * MINUTE,
);

test(
  'kill -9 of every role, of Kafka and of PostgreSQL heals by itself, and every write arrives',
  async () => {
    const before = await pids();
    for (const victims of [
      [...before.keys()].filter((name) => ![...SERVERS, 'kafka'].some((one) => one === name)),
      ['kafka'],
      [...SERVERS],
    ]) {
      for (const name of victims) process.kill(before.get(name)!, 'SIGKILL');
      const version = await write(
        `After the end of ${victims.length < 3 ? victims.join(' and ') : 'all roles'}`,
      );
      await Promise.all([
        reaches('gig', version),
        reaches('lab-hybrid', version),
        reaches('lab-parallel', version),
        reaches('python-page', version),
        reaches('node-page', version),
      ]);
    }
    await everythingIsReady();
    const after = await pids();
    for (const [name, pid] of before) expect([name, after.get(name)]).not.toEqual([name, pid]);
  },
  3 * MINUTE,
);

test(
  'after kill -9 of the demo itself a start copes with what is left, uses the data again, and Ctrl-C leaves no process',
  async () => {
    const version = await write('Before the end of the demo');
    const left = [...(await pids()).values()];
    demo.child.kill('SIGKILL');
    await once(demo.child, 'exit');
    demo = await start();
    expect(demo.output).toContain(`Using the data in ${data}`);
    await reaches('gig', version);
    expect(left.filter(isAlive)).toEqual([]);
    await Promise.all([reaches('python-page', version), reaches('node-page', version)]);

    const running = [...(await pids()).values()];
    expect(running.every(isAlive)).toBe(true);
    demo.child.kill('SIGINT');
    const [code] = (await once(demo.child, 'exit')) as [number];
    expect(code).toBe(0);
    expect(running.filter(isAlive)).toEqual([]);
  },
  3 * MINUTE,
);
