/** What `make conformance` is told. Pure. */
import { parseArgs } from 'node:util';
import { LIMITS } from '#contracts/client.ts';
import { FRESH_SECONDS } from '#dashboards/objectives.ts';
import { isHttpAddress } from '#platform/http-address.ts';
import { RULE_NAMES, type RuleName } from './rules.ts';

export interface Options {
  /** With `{sellerId}` in it. */
  readonly page: string;
  readonly source: string;
  readonly tokenUrl: string;
  readonly sellers: readonly number[];
  readonly metricsUrl: string | null;
  /** The file for the verdicts as JUnit XML. */
  readonly junit: string | null;
  readonly sourceProxyPort: number | null;
  readonly database: { readonly host: string; readonly port: number } | null;
  readonly databaseProxyPort: number | null;
  readonly deadlineMs: number;
  readonly freshMs: number;
  readonly claimsMinVersion: boolean;
  readonly rules: ReadonlySet<RuleName>;
  /** How long the page may take until it answers at all. */
  readonly patienceMs: number;
}

export const USAGE = `make conformance PAGE='http://localhost:9000/sellers/{sellerId}' [SOURCE=…] [TOKEN_URL=…] [SELLERS=1..50]
                 [METRICS=…/metrics] [JUNIT=file.xml] [ARGS="…"]

  --page ADDRESS               of a seller's page, with {sellerId} in it                  PAGE
  --source ADDRESS             of the source of truth, without /v1                        SOURCE     http://localhost:8090
  --token-url ADDRESS          answers ?seller=1 with a token of that seller              TOKEN_URL  http://localhost:8080/token
  --sellers 1..50,60           whom to write for; one without clients is erased           SELLERS    1..50
  --metrics ADDRESS            of the page's /metrics                                     METRICS
  --junit FILE                 for the verdicts as JUnit XML                              JUNIT
  --source-proxy-port PORT     opens a proxy before the source: let the page call the source there
  --database HOST:PORT         of the page's database
  --database-proxy-port PORT   opens a proxy before it: let the page connect there
  --deadline MS                by which the page answers, whatever is down                1000
  --fresh SECONDS              within which a write is shown                              ${FRESH_SECONDS}
  --min-version                the page claims minVersion, though its answers do not vary by the header
  --only RULE,RULE             of ${RULE_NAMES.join(', ')}
  --patience SECONDS           for the page to come up                                    60
`;

/** The settings do not make a trial; each line says what to change. */
export class BadOptions extends Error {
  override name = 'BadOptions';
}

const FLAGS = {
  page: { type: 'string' },
  source: { type: 'string', default: 'http://localhost:8090' },
  'token-url': { type: 'string', default: 'http://localhost:8080/token' },
  sellers: { type: 'string', default: '1..50' },
  metrics: { type: 'string' },
  junit: { type: 'string' },
  'source-proxy-port': { type: 'string' },
  database: { type: 'string' },
  'database-proxy-port': { type: 'string' },
  deadline: { type: 'string', default: '1000' },
  fresh: { type: 'string', default: String(FRESH_SECONDS) },
  'min-version': { type: 'boolean', default: false },
  only: { type: 'string' },
  help: { type: 'boolean', default: false },
  patience: { type: 'string', default: '60' },
} as const;

/**
 * @returns null where only help was asked for
 * @throws BadOptions
 */
export function readOptions(args: readonly string[]): Options | null {
  const given = flagsOf(args);
  if (given.help) return null;
  const faults: string[] = [];
  const must = <T>(value: T | null, fault: string): T => {
    if (value === null) faults.push(fault);
    return value as T;
  };
  const number = (flag: 'deadline' | 'fresh' | 'patience') =>
    must(positive(given[flag]), `--${flag}: a number above 0, not “${given[flag]}”`);
  const port = (flag: 'source-proxy-port' | 'database-proxy-port') =>
    given[flag] === undefined
      ? null
      : must(portIn(given[flag]), `--${flag}: a port from 1 to 65535, not “${given[flag]}”`);
  const address = (flag: 'source' | 'token-url' | 'metrics', text: string) =>
    must(isHttpAddress(text) ? text : null, `--${flag}: an address as http://localhost:8090, not “${text}”`);

  const page = given.page ?? '';
  if (!page.includes('{sellerId}') || !isHttpAddress(page.replaceAll('{sellerId}', '1'))) {
    faults.push(
      `PAGE: the address of a seller's page, as PAGE='http://localhost:9000/sellers/{sellerId}'${page === '' ? '' : `, not “${page}”`}`,
    );
  }
  const rules = given.only?.split(',') ?? RULE_NAMES;
  const unknown = rules.find((rule) => !(RULE_NAMES as readonly string[]).includes(rule));
  if (unknown !== undefined) faults.push(`--only: rules are ${RULE_NAMES.join(', ')}, not “${unknown}”`);
  const database =
    given.database === undefined
      ? null
      : must(hostAndPort(given.database), `--database: as localhost:5432, not “${given.database}”`);
  const sourceProxyPort = port('source-proxy-port');
  const databaseProxyPort = port('database-proxy-port');
  if ((database === null) !== (databaseProxyPort === null)) {
    faults.push('--database and --database-proxy-port: give both, or neither');
  }
  if (sourceProxyPort !== null && !given.source.startsWith('http://')) {
    faults.push(
      '--source-proxy-port: the proxy passes bytes on as they are, so the source must be an http:// address',
    );
  }
  if (sourceProxyPort !== null && sourceProxyPort === databaseProxyPort) {
    faults.push('--source-proxy-port and --database-proxy-port: two ports are needed');
  }
  const options: Options = {
    page,
    source: address('source', given.source).replace(/\/+$/, ''),
    tokenUrl: address('token-url', given['token-url']),
    sellers: must(
      sellersIn(given.sellers),
      `--sellers: as 1..50 or 3,7,20..30, ${LIMITS.sellersPerBatchGet} at most, not “${given.sellers}”`,
    ),
    metricsUrl: given.metrics === undefined ? null : address('metrics', given.metrics),
    junit: given.junit ?? null,
    ...{ sourceProxyPort, database, databaseProxyPort },
    deadlineMs: number('deadline'),
    freshMs: number('fresh') * 1_000,
    claimsMinVersion: given['min-version'],
    rules: new Set(rules as readonly RuleName[]),
    patienceMs: number('patience') * 1_000,
  };
  if (faults.length > 0) throw new BadOptions(faults.join('\n'));
  return options;
}

function flagsOf(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: FLAGS, strict: true }).values;
  } catch (err) {
    throw new BadOptions((err as Error).message);
  }
}

const positive = (text: string): number | null => (Number(text) > 0 ? Number(text) : null);
const portIn = (text: string): number | null =>
  /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535 ? Number(text) : null;

function hostAndPort(text: string): { host: string; port: number } | null {
  const [, host, port] = /^\[?([^[\]]+?)\]?:(\d{1,5})$/.exec(text) ?? [];
  const number = portIn(port ?? '');
  return host === undefined || number === null ? null : { host, port: number };
}

/** Null where the text names no sellers, or more than one call to the source can ask for. */
function sellersIn(text: string): readonly number[] | null {
  const all = new Set<number>();
  for (const part of text.split(',')) {
    const [, first, last = first] = /^([1-9]\d{0,14})(?:\.\.([1-9]\d{0,14}))?$/.exec(part.trim()) ?? [];
    if (first === undefined || Number(last) < Number(first)) return null;
    if (Number(last) - Number(first) >= LIMITS.sellersPerBatchGet) return null;
    for (let id = Number(first); id <= Number(last); id++) all.add(id);
  }
  return all.size > LIMITS.sellersPerBatchGet ? null : [...all];
}
