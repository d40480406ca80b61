/**
 * Fuzzes the HTTP contract from its own OpenAPI document: no 5xx, no undocumented answer, no accepted invalid input.
 * FUZZ_SECONDS and FUZZ_SEED, 60 and 1 by default. Installs schemathesis below `.cache/` when needed.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { PROBLEMS } from '#contracts/problems.ts';
import { credential } from '../../services/local-stack/callers.ts';
import { pythonWith } from '../../services/local-stack/python.ts';
import { type Source, type SourceBench, startSourceBench } from '../support/source.ts';

const SCHEMATHESIS = 'schemathesis==4.32.5';
const SECONDS = process.env['FUZZ_SECONDS'] ?? '60';
const SEED = process.env['FUZZ_SEED'] ?? '1';
jest.setTimeout(Number(SECONDS) * 3_000 + 300_000);

const root = new URL('../..', import.meta.url).pathname;
const document: { paths: Record<string, object> } = JSON.parse(
  readFileSync(join(root, 'services/contracts/generated/openapi.json'), 'utf8'),
);
const OPERATIONS = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.keys(methods).map((method) => `${method.toUpperCase()} /v1${path}`),
);

let bench: SourceBench;
let source: Source;
beforeAll(async () => {
  bench = await startSourceBench();
  source = await bench.startSource(await bench.database('fuzzed'), { TC_REQUESTS_PER_MINUTE: '0' });
});
afterAll(() => bench?.stop());

test('each refusal of the contract counts as one', () => {
  const settings = readFileSync(join(root, 'tests/fuzz/schemathesis.toml'), 'utf8');
  const [, expected = ''] = /^negative_data_rejection\.expected-statuses = \[(.*)\]$/m.exec(settings) ?? [];
  const refusals = Object.values(PROBLEMS).filter(({ status }) => status < 500);
  expect(expected.split(', ')).toEqual(expect.arrayContaining(refusals.map(({ status }) => `"${status}"`)));
});

test(`${SECONDS} s of generated requests find nothing, seed ${SEED}`, async () => {
  const program = join(await pythonWith('schemathesis', [SCHEMATHESIS]), 'schemathesis');
  const { code, output } = await run(
    program,
    [
      ...['--config-file', join(root, 'tests', 'fuzz', 'schemathesis.toml')],
      'run',
      `${source.url}/v1/openapi.json`,
      ...['--url', `${source.url}/v1`],
      ...['--checks', 'all'],
      ...['--phases', 'examples,coverage,fuzzing,stateful'],
      ...['--max-time', SECONDS, '--seed', SEED, '--workers', '1'],
      ...['--request-timeout', '10', '--max-response-time', '5'],
      // A busy machine is no finding.
      ...['--suppress-health-check', 'all', '--continue-on-failure', '--no-color'],
    ],
    {
      PYTHONDONTWRITEBYTECODE: '1',
      FUZZ_TOKEN_URL: bench.issuer.tokenUrl,
      FUZZ_SOURCE_URL: source.url,
      FUZZ_CALLER: credential('self-view'),
    },
  );
  if (code !== 0) throw new Error(`schemathesis ended with ${code}:\n${output}`);
  process.stdout.write(`${/\d+ generated, \d+ passed.*/.exec(output)?.[0] ?? output}\n`);
});

test.each(OPERATIONS)(
  'the run before proves something of %s: it succeeded at least once',
  async (operation) => {
    const metrics = await (await fetch(`${source.healthUrl}/metrics`)).text();
    const series = /^topclients_http_requests_total\{route="(.*)",method="(.*)",status="(\d+)"\} (\d+)$/gm;
    const answers = [...metrics.matchAll(series)]
      .filter(([, route, method]) => `${method} ${route}` === operation)
      .map(([, , , status, count]) => `${status}×${count}`);
    process.stdout.write(`${operation.padEnd(52)} ${answers.sort().join(' ')}\n`);
    expect(answers).toContainEqual(expect.stringMatching(/^2/));
  },
);

function run(command: string, args: readonly string[], env: Record<string, string> = {}) {
  return new Promise<{ code: number; output: string }>((resolve, reject) => {
    const child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        output += chunk;
      });
    }
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, output }));
  });
}
