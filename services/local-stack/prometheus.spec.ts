import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { freePort } from './ports.ts';
import { StartFailed } from './process.ts';
import { findPrometheus, type LocalPrometheus, PrometheusMissing, startPrometheus } from './prometheus.ts';

let folder: string;
let running: LocalPrometheus | undefined;
let exporter: Server | undefined;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'prometheus-'));
});
afterEach(async () => {
  await running?.stop();
  running = undefined;
  exporter?.closeAllConnections();
  exporter?.close();
  await rm(folder, { recursive: true, force: true });
});

async function program(name: string, says: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, `#!/bin/sh\necho '${says}'\n`);
  await chmod(path, 0o755);
  return path;
}

test('PROMETHEUS wins over the PATH, and the PATH over known places', async () => {
  const path = await program('prometheus', 'prometheus, version 3.1.0 (branch: HEAD)');
  const own = await program('mine', 'prometheus, version 2.42.0+ds (branch: debian/sid)');
  expect(await findPrometheus({ PATH: folder, PROMETHEUS: own })).toBe(own);
  expect(await findPrometheus({ PATH: folder })).toBe(path);
  expect(await findPrometheus({ PATH: '/nowhere' }, [folder])).toBe(path);
});

test('none, an old one, and one that says nothing are refused with what to do', async () => {
  await expect(findPrometheus({ PATH: '/nowhere' }, [])).rejects.toThrow(
    /no Prometheus on this machine: install 2\.42 or newer \(apt-get/,
  );
  const old = await program('prometheus', 'prometheus, version 2.41.0');
  await expect(findPrometheus({ PROMETHEUS: old })).rejects.toThrow(/is Prometheus 2\.41: install/);
  const silent = await program('silent', '');
  await expect(findPrometheus({ PROMETHEUS: silent })).rejects.toThrow(PrometheusMissing);
  await expect(findPrometheus({ PROMETHEUS: join(folder, 'no') })).rejects.toThrow(/cannot be run/);
});

test('a target is scraped with its labels, and again after it was away', async () => {
  const port = await freePort();
  const listen = () => {
    exporter = createServer((_req, res) => res.end('answers 1\n'));
    return new Promise<void>((resolve) => exporter!.listen(port, '127.0.0.1', resolve));
  };
  await listen();
  const pids: number[] = [];
  running = await startPrometheus({
    dataDir: join(folder, 'data'),
    scrape: {
      job: 'top-clients',
      everyMs: 200,
      targets: [{ address: `127.0.0.1:${port}`, labels: { pod: 'one' } }],
    },
    onSpawn: async (pid) => void pids.push(pid),
  });
  expect(pids).toEqual([running.pid]);
  const up = async (): Promise<string | undefined> => {
    const query = 'up{job="top-clients", pod="one"}';
    const answer = await fetch(`${running!.url}/api/v1/query?query=${encodeURIComponent(query)}`);
    const { data } = (await answer.json()) as { data: { result: { value: [number, string] }[] } };
    return data.result[0]?.value[1];
  };
  const until = async (value: string) => {
    while ((await up()) !== value) await delay(50);
  };
  await until('1');
  exporter!.closeAllConnections();
  exporter!.close();
  await until('0');
  await listen();
  await until('1');
}, 30_000);

test('a rule that is no PromQL ends the start with its own words', async () => {
  const rules = join(folder, 'rules.yaml');
  await writeFile(rules, JSON.stringify({ groups: [{ name: 'g', rules: [{ record: 'a', expr: 'sum(' }] }] }));
  const start = startPrometheus({
    dataDir: join(folder, 'data'),
    scrape: { job: 'top-clients', everyMs: 1_000, targets: [], ruleFiles: [rules] },
  });
  await expect(start).rejects.toThrow(StartFailed);
  await expect(start).rejects.toThrow(/parse error/);
}, 30_000);
