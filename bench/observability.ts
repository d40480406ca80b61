/**
 * The overhead of observability: `node bench/observability.ts [--pairs 15] [--seconds 4]`. Compares the asynchronous
 * gig page with metrics, scraped every five seconds, and traces of 1 % of its requests, with the same page without
 * either. Both run side by side and are visited in interleaved runs. Each pair of runs gives one ratio, so that other
 * load on the machine falls on both. Left out: the network to a collector, which runs in the bench's process here.
 */
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { drain, listen } from '#platform/listen.ts';
import { takeLock } from '../services/local-stack/folder-lock.ts';
import { startPipeline } from '../services/local-stack/pipeline.ts';
import { loadAverages } from './machine.ts';
import { visitByTurns } from './page.ts';
import { fillPage, visitsTo } from './page-data.ts';
import { type Figure, median, table } from './report.ts';

const { values: flags } = parseArgs({
  options: { pairs: { type: 'string', default: '15' }, seconds: { type: 'string', default: '4' } },
});
const pairs = Number(flags.pairs);
const seconds = Number(flags.seconds);
if (!(pairs >= 1 && seconds >= 1)) {
  process.stderr.write('--pairs and --seconds take numbers from 1\n');
  process.exit(2);
}

const SAMPLED = 0.01;
const SCRAPE_EVERY_MS = 5_000;

const release = await takeLock(join(tmpdir(), 'top-clients-bench.lock'));
let received = 0;
const collector = createServer((req, res) => {
  received += 1;
  req.resume().on('end', () => res.writeHead(200, { 'content-type': 'application/json' }).end('{}'));
});
const collectorPort = await listen(collector, 0, '127.0.0.1');
const pipeline = await startPipeline({ partitions: 1 });
try {
  await fillPage('gig', pipeline.view);
  const visits = { paths: visitsTo('gig'), folder: pipeline.folder };
  const serve = async (
    name: string,
    env: Readonly<Record<string, string>>,
    nodeFlags: readonly string[] = [],
  ) => {
    const server = await pipeline.start({ role: 'page-server', name, page: 'gig' }, { nodeFlags, env });
    return { server, pid: server.pid, url: server.url };
  };
  const on = await serve('page-on', {
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${collectorPort}`,
    OTEL_TRACES_SAMPLER_ARG: String(SAMPLED),
  });
  const off = await serve('page-off', {}, ['--import', join(import.meta.dirname, 'without-metrics.ts')]);
  const isMeasured = ({ server }: typeof on) => server.has('topclients_page_renders_total', '');
  if (!(await isMeasured(on)) || (await isMeasured(off))) {
    throw new Error('metrics are not on in the one and off in the other');
  }
  const scraping = setInterval(() => void isMeasured(on), SCRAPE_EVERY_MS);

  const loadAtStart = loadAverages();
  const turns = await visitByTurns([on, off], pairs, seconds, visits);
  clearInterval(scraping);
  if (received === 0) throw new Error('the collector received nothing: was anything traced?');

  const ratios = turns.map(([seen, unseen]) => seen.perSecond / unseen.perSecond);
  const figures: Figure[] = [
    {
      name: 'gig page, seen',
      unit: 'requests/s',
      target: null,
      values: turns.map(([seen]) => seen.perSecond),
    },
    {
      name: 'gig page, unseen',
      unit: 'requests/s',
      target: null,
      values: turns.map(([, unseen]) => unseen.perSecond),
    },
    { name: 'observed ÷ unobserved', unit: '', target: { least: 0.95 }, values: ratios },
    {
      name: 'CPU of the page a request, observed ÷ unobserved',
      unit: '',
      target: null,
      values: turns.map(([seen, unseen]) => seen.cpuMs / unseen.cpuMs),
    },
  ];
  process.stdout.write(
    `${pairs} pairs of ${seconds} s, load at the start ${loadAtStart.join(' ')}, ` +
      `${received} requests with traces received\n\n${table(figures)}\n`,
  );
  process.exitCode = median(ratios) >= 0.95 ? 0 : 1;
} finally {
  await pipeline.stop();
  await drain(collector);
  await release();
}
