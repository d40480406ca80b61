/**
 * Fuzzes the HTTP contract from its own OpenAPI document: no 5xx, no undocumented answer, no accepted invalid input.
 * `node tests/fuzz/run.ts [seconds] [seed]`, 60 and 1 by default. Installs schemathesis below `.cache/` when needed.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Source, startSourceBench } from '../support/source.ts';

const SCHEMATHESIS = 'schemathesis==4.32.5';
const root = new URL('../..', import.meta.url).pathname;
const [seconds = '60', seed = '1'] = process.argv.slice(2);

const venv = join(root, '.cache', SCHEMATHESIS);
const program = join(venv, 'bin', 'schemathesis');
if (!existsSync(program)) {
  run('python3', ['-m', 'venv', venv], 'Python 3.10 or newer with its venv module is needed');
  run(join(venv, 'bin', 'pip'), ['install', '--quiet', SCHEMATHESIS], 'PyPI is needed once');
}

const bench = await startSourceBench();
try {
  const source = await bench.startSource(await bench.database('fuzzed'), { TC_REQUESTS_PER_MINUTE: '0' });
  const fuzzer = spawn(
    program,
    [
      ...['--config-file', join(root, 'tests', 'fuzz', 'schemathesis.toml')],
      'run',
      `${source.url}/v1/openapi.json`,
      ...['--url', `${source.url}/v1`],
      ...['--checks', 'all'],
      ...['--phases', 'examples,coverage,fuzzing,stateful'],
      ...['--max-time', seconds, '--seed', seed, '--workers', '1'],
      ...['--request-timeout', '10', '--max-response-time', '5'],
      // A busy machine is no finding.
      ...['--suppress-health-check', 'all', '--continue-on-failure'],
    ],
    {
      stdio: 'inherit',
      env: {
        ...process.env,
        PYTHONDONTWRITEBYTECODE: '1',
        FUZZ_TOKEN_URL: bench.issuer.tokenUrl,
        FUZZ_SOURCE_URL: source.url,
      },
    },
  );
  const code = await new Promise<number>((resolve) => {
    fuzzer.once('error', () => resolve(1));
    fuzzer.once('exit', (status) => resolve(status ?? 1));
  });
  const { operations, unreached } = await reachedOperations(source);
  for (const operation of unreached) process.stderr.write(`nothing was ever done by ${operation}\n`);
  process.exitCode = code || (unreached.length > 0 ? 1 : 0);
  // The fuzzer's own last line counts warnings only; this one says what was judged.
  const failed = code === 0 ? unreached.length : operations;
  process.stdout.write(`operations: ${operations - failed} passed, ${failed} failed\n`);
} finally {
  await bench.stop();
}

/** Prints how often each operation answered what; `unreached` never succeeded: there the run proves nothing. */
async function reachedOperations(source: Source): Promise<{ operations: number; unreached: string[] }> {
  const operations = new Map<string, Map<string, number>>();
  const document = (await source.call('GET', '/v1/openapi.json')).body as { paths: Record<string, object> };
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const method of Object.keys(methods))
      operations.set(`${method.toUpperCase()} /v1${path}`, new Map());
  }
  const metrics = await (await fetch(`${source.healthUrl}/metrics`)).text();
  const series = /^topclients_http_requests_total\{route="(.*)",method="(.*)",status="(\d+)"\} (\d+)$/gm;
  for (const [, route, method, status, count] of metrics.matchAll(series)) {
    operations.get(`${method} ${route}`)?.set(status!, Number(count));
  }
  for (const [operation, statuses] of operations) {
    const counts = [...statuses].sort().map(([status, count]) => `${status}×${count}`);
    process.stdout.write(`${operation.padEnd(52)} ${counts.join(' ')}\n`);
  }
  const succeeded = (statuses: ReadonlyMap<string, number>) =>
    [...statuses.keys()].some((one) => one.startsWith('2'));
  const unreached = [...operations].filter(([, statuses]) => !succeeded(statuses));
  return { operations: operations.size, unreached: unreached.map(([operation]) => operation) };
}

function run(command: string, args: string[], otherwise: string): void {
  const { status } = spawnSync(command, args, { stdio: 'inherit' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} failed: ${otherwise}`);
}
