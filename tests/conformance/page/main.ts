/**
 * `make conformance PAGE='http://localhost:9000/sellers/{sellerId}'`
 *
 * Tries a page that runs, from outside, and prints each rule with what was seen. It writes for the sellers given and erases
 * one who had no clients; what it wrote is removed at the end. Exits with 0 when no rule was broken, 1 when one was, 2 when
 * there could be no trial.
 */
import { writeFile } from 'node:fs/promises';
import { pause } from '#platform/lifecycle.ts';
import { junitOf } from './junit.ts';
import { MarketUnusable, openMarket } from './market.ts';
import { BadOptions, type Options, readOptions, USAGE } from './options.ts';
import { play } from './play.ts';
import { openDatabaseProxy, openSourceProxy } from './proxies.ts';
import { type PageVerdict, RULES } from './rules.ts';
import { visitPage } from './visit.ts';

const say = (line: string) => process.stdout.write(`${line}\n`);

const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort());

try {
  const options = readOptions(process.argv.slice(2));
  if (options === null) say(USAGE);
  const verdicts = options === null ? [] : await tried(options);
  process.exitCode = verdicts.some(({ result }) => result === 'broken') ? 1 : 0;
} catch (err) {
  const { message, stack } = err as Error;
  const isTold = err instanceof BadOptions || err instanceof MarketUnusable;
  process.stderr.write(`${isTold ? message : stack}\n${err instanceof BadOptions ? `\n${USAGE}` : ''}`);
  // A trial that was stopped still waits for answers that nobody needs.
  process.exit(2);
}

async function tried(options: Options): Promise<PageVerdict[]> {
  const { sourceProxyPort, database, databaseProxyPort } = options;
  const market = openMarket(options);
  const sourceProxy =
    sourceProxyPort === null
      ? null
      : await openSourceProxy(sourceProxyPort, options.source).catch(unusable('--source-proxy-port'));
  const databaseProxy =
    database === null
      ? null
      : await openDatabaseProxy(databaseProxyPort!, database).catch(unusable('--database-proxy-port'));
  const page = (sellerId: number) => options.page.replaceAll('{sellerId}', String(sellerId));
  try {
    if (sourceProxy !== null) say(`the source is at ${sourceProxy.address} for the page`);
    if (databaseProxy !== null) say(`its database is at ${databaseProxy.address} for the page`);
    await comesUp(page(options.sellers[0]!), options);
    const began = performance.now();
    const verdicts = await play({
      ...options,
      page,
      market,
      sourceProxy,
      databaseProxy,
      signal: stopping.signal,
      log: say,
    });
    const seconds = (performance.now() - began) / 1_000;
    tell(verdicts, seconds);
    if (options.junit !== null)
      await writeFile(options.junit, junitOf(options.page, verdicts, Math.round(seconds)));
    return verdicts;
  } finally {
    await sourceProxy?.close();
    await databaseProxy?.close();
    await market.close();
  }
}

function unusable(flag: string): (err: Error) => never {
  return (err) => {
    throw new MarketUnusable(`${flag}: ${err.message}`);
  };
}

/** A page may be started after the proxies, which it needs. */
async function comesUp(address: string, { patienceMs, sellers }: Options): Promise<void> {
  const until = performance.now() + patienceMs;
  let isTold = false;
  for (;;) {
    const { status, error } = await visitPage(address, sellers[0]!, 5_000);
    if (status !== null && status < 500) return;
    const why = status === null ? `no answer (${error})` : `it answers ${status}`;
    if (performance.now() >= until || stopping.signal.aborted) {
      throw new MarketUnusable(`${address} is not up within ${patienceMs / 1_000} s: ${why}`);
    }
    if (!isTold) say(`waits for ${address}: ${why}`);
    isTold = true;
    await pause(250, stopping.signal);
  }
}

function tell(verdicts: readonly PageVerdict[], seconds: number): void {
  for (const { rule, result, evidence } of verdicts) {
    const word = { kept: 'kept       ', broken: 'BROKEN     ', 'not checked': 'not checked' }[result];
    say(`  ${word}  ${RULES[rule]} (${rule}): ${evidence}`);
  }
  const count = (of: PageVerdict['result']) => verdicts.filter(({ result }) => result === of).length;
  say(
    `of ${verdicts.length} rules ${count('kept')} were kept, ${count('broken')} broken, ${count('not checked')} not checked, in ${Math.round(seconds)} s`,
  );
}
