/** What documents tell people to type does what they say, with the data that a new demonstration has. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { LIMITS, NewClient } from '#contracts/client.ts';
import { silentLog } from '#platform/log.ts';
import { openPool } from '#platform/postgres.ts';
import { commandsToTry } from '../../services/demo/lab/commands.ts';
import { clientsOf, seller } from '../../services/seed/sellers.ts';
import { addClients } from '../../services/seed/source.ts';
import { type Source, type SourceBench, startSourceBench } from '../support/source.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const NOTES = 'charts/top-clients/templates/NOTES.txt';
/** As many as the smallest demonstration has: examples/development.yaml. */
const SELLERS = 200;

const markdown = (folder: string) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name));
const DOCUMENTS = [
  ...['README.md', 'ARCHITECTURE.md', 'services/demo/README.md', NOTES, 'services/demo/run.ts'],
  ...markdown('docs'),
  ...markdown('charts'),
];
const API = { source: 'http://source', issuer: 'http://issuer', gig: 'http://gig' };
const texts = new Map<string, string>([
  ...DOCUMENTS.map((file) => [file, readFileSync(join(ROOT, file), 'utf8')] as const),
  ['the lab', commandsToTry(API)],
]);

/** A command may go on in the next line. */
const commandsIn = (text: string) => text.replaceAll(/\\\n\s*/g, ' ').split('\n');
const matches = (pattern: RegExp) =>
  [...texts].flatMap(([file, text]) =>
    commandsIn(text).flatMap((line) =>
      [...line.matchAll(pattern)].map((match) => [`${file}: ${match[0]}`, match] as const),
    ),
  );

describe('with the data of a demonstration', () => {
  // In a template the slash may stand before a condition.
  const GIG = /[/}]gigs\/(\d+)/g;
  const named = (pattern: RegExp) => matches(pattern).map(([what, [, id]]) => [what, Number(id)] as const);
  const writes = matches(/^(?=.* -d '(\{.*?\})').*\/v1\/sellers\/(\d+)\/clients\b/g);

  test('the look through the documents finds what it looks for', () => {
    expect(new Set(writes.map(([what]) => what.split(':')[0]))).toEqual(new Set([NOTES, 'the lab']));
    expect(new Set(named(GIG).map(([what]) => what.split(':')[0]))).toEqual(
      new Set(['README.md', NOTES, 'services/demo/run.ts', 'the lab']),
    );
  });

  test.each(named(GIG))('%s is a gig', (_, gigId) => {
    const everyGig = Array.from({ length: SELLERS }, (__, i) => seller(i + 1, SELLERS).gigs).flat();
    expect(everyGig.map(({ gig_id }) => gig_id)).toContain(gigId);
  });

  test.each(named(/(?:\/(?:users|sellers)\/|[?&]seller=)(\d+)/g))('%s is a seller', (_, sellerId) => {
    expect(sellerId).toBeGreaterThanOrEqual(1);
    expect(sellerId).toBeLessThanOrEqual(SELLERS);
  });

  test.each(matches(/\/search\?q=(\w+)/g))('%s finds something', (_, [, word]) => {
    const listings = Array.from({ length: SELLERS }, (__, i) => seller(i + 1, SELLERS).listings).flat();
    expect(JSON.stringify(listings).toLowerCase()).toContain(word!.toLowerCase());
  });

  test.each(writes)('%s writes what that seller does not have', (_, [, body, sellerId]) => {
    const client = NewClient.parse(JSON.parse(body!));
    const has = clientsOf(Number(sellerId));
    expect(has.map(({ name }) => name.toLowerCase())).not.toContain(client.name.toLowerCase());
    expect(has.length).toBeLessThan(LIMITS.clientsPerSeller);
  });
});

describe('pasted into a terminal', () => {
  let bench: SourceBench;
  let source: Source;
  beforeAll(async () => {
    bench = await startSourceBench();
    const url = await bench.database('commands');
    const connection = { applicationName: 'commands', maximum: 1, statementTimeoutMs: 10_000 };
    const pool = openPool({ ...connection, url, connectTimeoutMs: 5_000 }, silentLog);
    const everybody = Array.from({ length: 5 }, (_, i) => i + 1);
    await addClients(pool, everybody, '2026-11-01T00:00:00.000Z');
    await pool.end();
    source = await bench.startSource(url);
  });
  afterAll(() => bench?.stop());

  /** Runs commands as a person would, one after the other, with the addresses of this test. */
  const paste = async (commands: readonly string[], addresses: Readonly<Record<string, string>>) => {
    const script = Object.entries(addresses).reduce(
      (text, [from, to]) => text.replaceAll(from, to),
      commands.join('\n'),
    );
    const { stdout } = await promisify(execFile)('sh', ['-euc', script], { timeout: 20_000 });
    return stdout;
  };
  const issuerOf = (url: string) => url.replace(/\/token$/, '');

  test('what the chart says after an installation writes a client', async () => {
    const commands = commandsIn(texts.get(NOTES)!).filter((line) => /^ {2}(TOKEN=|curl )/.test(line));
    expect(commands).toHaveLength(2);
    const answer = await paste(commands, {
      'http://localhost:8082': issuerOf(bench.issuer.tokenUrl),
      'http://localhost:8090': source.url,
    });
    const body = / -d '(\{.*?\})'/.exec(commands[1]!)![1]!;
    // Before it, curl has written what it asked again after: 503, from a source that is short of processor time.
    const [last = ''] = /\{[^{}]*\}$/.exec(answer) ?? [];
    expect(JSON.parse(last)).toMatchObject(JSON.parse(body));
  });

  test('what the lab says writes a client and shows what was done', async () => {
    const own = { source: source.url, issuer: issuerOf(bench.issuer.tokenUrl), gig: API.gig };
    // No page runs here.
    const commands = commandsIn(commandsToTry(own)).filter((line) => !line.includes(API.gig));
    const answer = await paste(commands, {});
    expect(answer).toMatch(/^HTTP\/1\.1 201 /m);
    expect(answer).toContain('"version":1');
  });
});
