/** Sellers who write and people who visit, both all the time, while something happens to what is below. */
import { setTimeout as delay } from 'node:timers/promises';
import { allReady, type Cluster } from '../cluster.ts';
import { runUntilEnded, type Visitor, type Visits } from '../visitor.ts';
import { keepWriting, type Written } from './writer.ts';

/** Nobody else writes to their lists, and nobody shows them on these pages: what is visited is always there. */
export const SELLERS: readonly number[] = Array.from({ length: 10 }, (_, i) => 101 + i);
export const PAGES = ['gig', 'user', 'search'] as const;
const URLS = [
  'http://top-clients-page-gig:8080/gigs/1',
  'http://top-clients-page-user:8080/users/1',
  'http://top-clients-page-search:8080/search?q=logo',
];

export interface Outcome {
  readonly written: Written;
  readonly visits: Readonly<Record<string, Visits>>;
}

interface Load {
  readonly cluster: Cluster;
  readonly visitor: Visitor;
  readonly sellers?: readonly number[];
  readonly writesPerSecond?: number;
  readonly urls?: readonly string[];
  /** Of each address. */
  readonly visitsPerSecond?: number;
  /** How long it goes on before and after, in ms. */
  readonly beforeMs?: number;
  readonly afterMs?: number;
}

/** Writes and visits, and does something meanwhile. */
export async function under(
  { cluster, visitor, beforeMs = 8_000, afterMs = 12_000, ...load }: Load,
  happens: () => Promise<void>,
): Promise<Outcome> {
  const stopWriting = keepWriting(cluster, load.sellers ?? SELLERS, load.writesPerSecond ?? 20);
  const stopVisiting = visitor.visit(load.urls ?? URLS, load.visitsPerSecond ?? 5);
  let ended: [Written, Outcome['visits']];
  try {
    await delay(beforeMs);
    await happens();
    await delay(afterMs);
  } finally {
    ended = await Promise.all([stopWriting(), stopVisiting()]);
    const [{ acknowledged, repeated, longestGapMs, gapEndedAt }, visits] = ended;
    console.log(
      `${acknowledged.length} changes acknowledged, ${repeated.length} repeated, ` +
        `none for ${longestGapMs} ms at most, until ${gapEndedAt}\n${inWords(visits)}`,
    );
  }
  const [written, visits] = ended;
  for (const [url, { requests }] of Object.entries(visits))
    if (requests < 20) throw new Error(`${url} was visited ${requests} times: that tells nothing`);
  return { written, visits };
}

/** A line for each address. */
export const inWords = (visits: Outcome['visits']): string =>
  Object.entries(visits)
    .map(
      ([url, { requests, outcomes, failures, longestMs }]) =>
        `${url}: ${requests} visits, ${JSON.stringify(outcomes)}, ${Math.round(longestMs)} ms at most, ` +
        `failed ${failures.length}: ${failures.slice(0, 3).join('; ')}`,
    )
    .join('\n');

export const failuresOf = ({ visits }: Outcome): readonly string[] =>
  Object.values(visits).flatMap(({ failures }) => failures);

/** What was acknowledged and is not in the log with the content that it was acknowledged with. */
export async function lostOf(
  { written: { acknowledged } }: Outcome,
  askSource: (statement: string) => Promise<string>,
): Promise<readonly unknown[]> {
  const lines = await askSource(
    `select seller_id || '/' || version || ' ' || coalesce(change -> 'client' ->> 'description', '') from seller_event
    where seller_id between ${SELLERS[0]} and ${SELLERS.at(-1)}`,
  );
  const log = new Map<string, string>();
  for (const line of lines.trim().split('\n')) {
    const end = line.indexOf(' ');
    log.set(line.slice(0, end), line.slice(end + 1));
  }
  return acknowledged.filter(
    ({ seller, version, description }) => log.get(`${seller}/${version}`) !== description,
  );
}

/** The values that an installation is put under load with, each `name=value`. */
const valuesFor = (pages: readonly string[]): readonly string[] => [
  'topClients.demoData.sellers=300',
  'topClients.source.writesPerMinute=0',
  'topClients.source.requestsPerMinute=0',
  ...PAGES.flatMap((page) =>
    pages.includes(page)
      ? [
          // A node whose two cores hold everything answers late now and then: not what is asked here.
          `pages.${page}.server.pageDeadlineMs=4000`,
          `pages.${page}.server.sourceDeadlineMs=2000`,
        ]
      : [`pages.${page}=null`],
  ),
];

/** The arguments of `helm install` or `helm upgrade` after the chart. */
export function settings(
  image: string,
  values: readonly string[],
  pages: readonly string[] = PAGES,
): readonly string[] {
  const at = image.lastIndexOf(':');
  return [
    ...[
      '--set',
      `image.repository=${image.slice(0, at)}`,
      '--set-string',
      `image.tag=${image.slice(at + 1)}`,
    ],
    ...[...valuesFor(pages), ...values].flatMap((one) => ['--set', one]),
  ];
}

export const CHART = new URL('../../../charts/top-clients', import.meta.url).pathname;

/** Installs the chart as a demo with the image under test, and waits until everything is ready. */
export async function install(
  cluster: Cluster,
  image: string,
  values: readonly string[],
  pages: readonly string[] = PAGES,
): Promise<void> {
  const ours = settings(image, ['topClients.profile=demo', ...values], pages);
  await cluster.helm(['install', 'top-clients', CHART, ...ours]);
  await allReady(cluster, pages, 600_000, 2_000);
}

const WATCH = `
const { url, everyMs } = JSON.parse(process.argv[1]);
const shown = [];
let stopped = false;
process.stdin.on('data', () => {}).on('end', () => { stopped = true; });
(async () => {
  while (!stopped) {
    const version = await fetch(url, { headers: { accept: 'application/json' }, signal: AbortSignal.timeout(5000) })
      .then((answer) => answer.json()).then((body) => body.topClients.version, () => null);
    if (version > (shown.at(-1)?.version ?? 0)) shown.push({ version, at: Date.now() });
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
  process.stdout.write(JSON.stringify(shown) + '\\n', () => process.exit(0));
})();
`;

/**
 * Looks at the list of the first seller on the user page all the time, until the returned function is called with what
 * was written. That tells how long an acknowledged change took at most until it was shown, in ms.
 */
export function watchLateness(cluster: Cluster): (written: Written) => Promise<number> {
  const seller = SELLERS[0]!;
  const stop = runUntilEnded<{ version: number; at: number }[]>(cluster, WATCH, {
    url: `http://top-clients-page-user:8080/users/${seller}`,
    everyMs: 200,
  });
  return async ({ acknowledged }) => {
    const shown = await stop();
    const delays = acknowledged
      .filter((one) => one.seller === seller)
      .map(
        ({ version, at }) =>
          (shown.find((one) => one.version >= version)?.at ?? Number.POSITIVE_INFINITY) - at,
      );
    return Math.max(...delays);
  };
}
