import type { IncomingMessage } from 'node:http';
import { HEADERS } from '#contracts/delivery.ts';
import { METRICS } from '#contracts/metrics.ts';
import { ExternalPageName } from '#contracts/pages.ts';
import { ageOf, type PageDatabase, type ShownList } from '#pages/page.ts';
import { clientAt } from '#platform/client-address.ts';
import { DatabaseUrl } from '#platform/database-url.ts';
import { isHttpAddress } from '#platform/http-address.ts';
import type { Log } from '#platform/log.ts';
import { openCatalogue } from '#platform/metrics.ts';
import { callerCredential } from '../auth/caller-credential.ts';
import { openCallerIdentity } from '../source-client/caller-identity.ts';
import { MISSING } from './decide.ts';
import { deliver } from './deliver.ts';
import { MANY_LISTS, openListReads } from './list-page.ts';
import { ANY_VERSION, readMinVersion } from './min-version.ts';
import { openMinVersionLimit } from './min-version-limit.ts';
import { addOutcomeHeaders, cacheControl } from './outcome-headers.ts';
import { openReading } from './reading.ts';
import { openRenderMetrics } from './render-metrics.ts';
import type {
  Comparison,
  List,
  Logger,
  OpenTopClients,
  Options,
  OtherList,
  ReadOptions,
  TopClients,
} from './types.ts';

/** Sellers in one `readMany`: as many as the source takes in one call. */
const MOST_SELLERS = 100;
/** What a read leaves for its own database at least, in ms. */
const LEAST_FOR_DATABASE_MS = 50;

const ONE = { shows: 'one seller', sellersOf: (sellers: unknown) => sellers as readonly number[] } as const;
const MANY = { ...ONE, shows: 'many sellers' } as const;

/** See `types.ts`, which the package's declarations are made from. */
export const openTopClients: OpenTopClients = (options) => {
  if (typeof options !== 'object' || options === null)
    throw new Error('openTopClients takes an object with page, delivery and database at least');
  const { page, database, delivery, source } = options;
  const { deadlineMs = 500, versionCallsPerMinute = 60 } = options;
  const sourceDeadlineMs = source?.deadlineMs ?? 150;
  assertUsable(options, deadlineMs, sourceDeadlineMs);
  const log = asLog(options.log);
  const metrics = openCatalogue(METRICS, {
    processMetrics: false,
    ...(options.registry ? { registry: options.registry } : {}),
  });
  const render = openRenderMetrics(page, delivery, metrics);
  const shadowReads = metrics.counter('topclients_page_shadow_reads_total');
  const reading = openReading(
    {
      page,
      delivery,
      database: {
        url: database.url,
        caFile: database.caFile,
        applicationName: `page ${page}`,
        maximum: database.connections ?? 4,
        statementTimeoutMs: deadlineMs,
        connectTimeoutMs: deadlineMs,
      },
      replica: database.replica
        ? {
            url: database.replica.url,
            caFile: database.replica.caFile ?? database.caFile,
            lagMs: database.replica.lagMs ?? 10_000,
          }
        : null,
      source: source
        ? {
            url: source.url,
            concurrency: source.concurrency ?? 64,
            identity: openCallerIdentity(callerCredential('source.credential', source.credential), page, {
              log,
              metrics,
              setting: 'source.credential',
            }),
          }
        : null,
      isOurs: false,
    },
    { log, metrics },
  );
  const one = openListReads(reading.feed);
  const limit = openMinVersionLimit(versionCallsPerMinute);

  async function readAll(
    shape: typeof ONE | typeof MANY,
    sellerIds: readonly number[],
    { minVersion, signal, client }: ReadOptions,
  ): Promise<(sellerId: number) => List> {
    if (minVersion !== undefined && !(Number.isSafeInteger(minVersion) && minVersion >= 0))
      throw new TypeError(`${String(minVersion)} is no version: minVersion is a whole number from 0 on`);
    const until = performance.now() + deadlineMs;
    try {
      const db = reading.database.until(until - sourceDeadlineMs);
      const delivered = await deliver(
        shape,
        shape === ONE ? one : MANY_LISTS,
        reading.source,
        { delivery, parallel: true },
        {
          address: sellerIds,
          minVersion: minVersion === undefined ? ANY_VERSION : () => minVersion,
          db: signal ? abandoned(db, signal) : db,
          call: () => ({ deadlineMs: Math.min(sourceDeadlineMs, until - performance.now()), signal }),
          mayCauseCall: () => (client === undefined ? 'yes' : limit.take(client)),
        },
      );
      if (delivered !== null && !('undelivered' in delivered)) {
        const { shown } = delivered;
        return (sellerId) => asList(shown?.get(sellerId) ?? MISSING);
      }
      const refused = delivered?.undelivered ?? 'beyond';
      return () => ({ ...asList(MISSING), refused });
    } catch (err) {
      // That the database is away is logged once, by what keeps statements from it.
      log.debug({ err }, 'could not read lists from the database of the page');
      return () => asList(MISSING);
    }
  }

  let closing: Promise<void> | undefined;
  const topClients: TopClients = {
    registry: metrics.registry,
    notReadyBecause: reading.notReadyBecause,
    close: () => (closing ??= reading.close()),

    async read(sellerId, asked = {}) {
      assertSeller(sellerId);
      return (await readAll(ONE, [sellerId], asked))(sellerId);
    },

    async readMany(sellerIds, asked = {}) {
      const sellers = [...new Set(sellerIds)];
      for (const sellerId of sellers) assertSeller(sellerId);
      if (sellers.length > MOST_SELLERS)
        throw new TypeError(
          `readMany takes ${MOST_SELLERS} sellers at most, not ${sellers.length}: ask in parts`,
        );
      if (sellers.length === 0) return new Map();
      const listOf = await readAll(MANY, sellers, asked);
      return new Map(sellers.map((sellerId) => [sellerId, listOf(sellerId)]));
    },

    async compare(sellerId, other) {
      const found = compared(await topClients.read(sellerId), other);
      shadowReads.inc({ page, result: found });
      return found;
    },

    express: (sellerOf) => (req, res, next) => {
      const sellerId = sellerOf(req as Parameters<typeof sellerOf>[0]);
      if (sellerId === null) return next();
      // What a visitor typed is no fault of the page.
      if (!isSeller(sellerId)) return refuse(res, 404, 'A seller has a whole number, as 7.');
      const began = performance.now();
      const asked = minVersionIn(req);
      const min = readMinVersion(asked, 'one seller');
      if ('refused' in min) return refuse(res, 400, min.refused);
      const minVersion = min.minVersion(sellerId);
      const client = clientAt((req as { ip?: string }).ip ?? req.socket.remoteAddress ?? '');
      topClients.read(sellerId, { minVersion, client }).then((list) => {
        if (list.refused !== undefined) {
          render.refused(list.refused);
          return list.refused === 'beyond'
            ? refuse(res, 400, `There is no version ${minVersion} of this list: leave minVersion out.`)
            : refuse(
                res,
                429,
                'You asked for versions that this page does not have too often: leave minVersion out.',
              );
        }
        const headers: Array<string | number> = [];
        addOutcomeHeaders(headers, list.outcome, list.version, list.ageMs);
        headers.push('cache-control', cacheControl(list.outcome));
        for (let i = 0; i < headers.length; i += 2) res.setHeader(String(headers[i]), headers[i + 1]!);
        // A cache must not show one reader what another's version got.
        res.appendHeader('vary', HEADERS.minVersion);
        res.locals['topClients'] = list;
        res.once('finish', () => {
          const ms = performance.now() - began;
          if (res.statusCode >= 500) render.failed(ms);
          else render.rendered(list.outcome, ms);
        });
        next();
      }, next);
    },
  };
  return topClients;
};

function compared({ version, clients }: List, other: OtherList): Comparison {
  if (version === null) return 'missing';
  if (version !== other.version) return version < other.version ? 'behind' : 'ahead';
  const text = (list: OtherList['clients']) => JSON.stringify(list.map(({ id, name }) => [id, name]));
  return text(clients) === text(other.clients) ? 'equal' : 'different';
}

const asList = (shown: ShownList): List => ({
  outcome: shown.outcome,
  version: shown.list?.version ?? null,
  ageMs: ageOf(shown, Date.now()),
  clients: shown.list?.clients ?? [],
});

/** Gives up waiting when the reader does; the statement is ended by its own timeout. */
const abandoned = (db: PageDatabase, signal: AbortSignal): PageDatabase => ({
  get mayLag() {
    return db.mayLag ?? false;
  },
  query: (statement) =>
    new Promise((resolve, reject) => {
      const giveUp = () => reject(new Error('the reader gave up'));
      if (signal.aborted) return giveUp();
      signal.addEventListener('abort', giveUp, { once: true });
      const settled = () => signal.removeEventListener('abort', giveUp);
      db.query(statement)
        .finally(settled)
        .then(resolve as never, reject);
    }),
});

function minVersionIn({ url = '', headers }: IncomingMessage): string | undefined {
  const header = headers[HEADERS.minVersion.toLowerCase()];
  const at = url.indexOf('?');
  const query = at < 0 ? null : new URLSearchParams(url.slice(at + 1)).get('minVersion');
  return query ?? (typeof header === 'string' ? header : undefined);
}

function refuse(res: Parameters<ReturnType<TopClients['express']>>[1], status: number, detail: string): void {
  res.statusCode = status;
  res.setHeader('content-type', 'application/problem+json');
  res.setHeader('cache-control', 'no-store');
  res.end(JSON.stringify({ status, detail }));
}

const isSeller = (sellerId: number): boolean => Number.isSafeInteger(sellerId) && sellerId > 0;

function assertSeller(sellerId: number): void {
  if (!isSeller(sellerId))
    throw new TypeError(`${String(sellerId)} is no seller's id: a positive whole number is`);
}

function assertUsable(
  { page, database, delivery, source }: Options,
  deadlineMs: number,
  sourceDeadlineMs: number,
): void {
  const { error } = ExternalPageName.safeParse(page);
  if (error) throw new Error(`page ${error.issues[0]!.message}`);
  if (delivery !== 'asynchronous' && delivery !== 'hybrid')
    throw new Error(`delivery must be asynchronous or hybrid, not ${String(delivery)}`);
  if (typeof database?.url !== 'string' || database.url === '')
    throw new Error(
      'database.url is not set: give the address of the database of the page, postgresql://user:password@host:5432/name',
    );
  for (const [option, url] of [
    ['database.url', database.url],
    ...(database.replica ? [['database.replica.url', database.replica.url]] : []),
  ] as const) {
    try {
      DatabaseUrl.of(url);
    } catch (cause) {
      throw new Error(`${option}: ${(cause as Error).message}`, { cause });
    }
  }
  if (source && !isHttpAddress(String(source.url)))
    throw new Error(
      'source.url must be an address like http://top-clients.top-clients:8080: it is in the secret that the operator makes; leave source away to do without',
    );
  if (delivery === 'hybrid' && !source)
    throw new Error(
      'delivery hybrid needs source: its url and credential are in the secret that the operator makes',
    );
  if (!(deadlineMs >= sourceDeadlineMs + LEAST_FOR_DATABASE_MS))
    throw new Error(
      `deadlineMs must be at least ${LEAST_FOR_DATABASE_MS} more than source.deadlineMs, which is ${sourceDeadlineMs}`,
    );
}

/** A logger of theirs as the modules here use one: with children, which say no more. */
function asLog(logger: Logger | undefined): Log {
  const nobody = () => {};
  const { debug, info, warn, error } = logger ?? { debug: nobody, info: nobody, warn: nobody, error: nobody };
  const bound = {
    debug: debug.bind(logger),
    info: info.bind(logger),
    warn: warn.bind(logger),
    error: error.bind(logger),
    fatal: error.bind(logger),
    child: () => bound,
  };
  return bound as unknown as Log;
}
