import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { isHttpAddress } from '#platform/http-address.ts';

export interface DemoOptions {
  readonly command: 'start' | 'stop' | 'help';
  /** How many sellers to seed; undefined: as many as the data folder has, else 20,000. */
  readonly sellers: number | undefined;
  readonly portBase: number;
  readonly data: string;
  /** Where the lab and the issuer listen. */
  readonly host: string;
  readonly traffic: boolean;
  /** Whether to start the pages of `examples`, with what they need from registries of packages. */
  readonly examples: boolean;
  readonly detach: boolean;
  /** The address for traces, by OTLP over HTTP; undefined: traces are not sent. */
  readonly otlp: string | undefined;
  /** Whether to start Grafana. */
  readonly grafana: boolean;
}

/** The command line cannot be carried out; the message says what to change. */
export class UsageError extends Error {
  override name = 'UsageError';
}

export const DEFAULTS = { sellers: 20_000, portBase: 8080, data: '.demo', host: '127.0.0.1' } as const;
/** The offset of the first port after those of one demo. */
export const PORTS_TAKEN = 70;

export const HELP = `make demo ARGS="…"        starts Top Clients on this machine: PostgreSQL, Kafka, every role, the lab
make demo-stop ARGS="…"   stops one that runs in the background (give it the same --data)

  --sellers N       sellers to make up, 20 to 900000 (default ${DEFAULTS.sellers})
  --port-base N     the lab's port; the others follow from it (default ${DEFAULTS.portBase}, takes ${DEFAULTS.portBase} to ${DEFAULTS.portBase + PORTS_TAKEN - 1})
  --data DIR        where everything is kept; a second start uses it again (default ${DEFAULTS.data})
  --host ADDRESS    where lab, pages and API listen (default ${DEFAULTS.host}: this machine only)
  --no-traffic      no made-up visitors and edits
  --no-examples     not the pages of examples/, which install packages from PyPI and npm once
  --detach          return as soon as all is up, and go on in the background
  --otlp URL        sends traces there by OTLP over HTTP, as http://localhost:4318: of every request, not of one in 100
  --grafana         starts Grafana with the dashboards too, when grafana-server is on the PATH
  --help            this text

Two demos run side by side with two --port-base and two --data.
`;

/**
 * Reads the command line.
 * @param projectRoot the default data folder is below it; a given one is relative to the working directory
 * @throws UsageError
 */
export function readOptions(argv: readonly string[], projectRoot: string): DemoOptions {
  const { values, positionals } = parse(argv);
  const command = positionals[0] ?? 'start';
  if (positionals.length > 1 || (command !== 'start' && command !== 'stop')) {
    throw new UsageError(
      `"${positionals.join(' ')}" is not a command: leave it away to start, or say stop; --help tells the flags`,
    );
  }
  return {
    command: values.help ? 'help' : command,
    sellers: values.sellers === undefined ? undefined : whole('--sellers', values.sellers, 20, 900_000),
    portBase:
      values['port-base'] === undefined
        ? DEFAULTS.portBase
        : whole('--port-base', values['port-base'], 1_024, 65_536 - PORTS_TAKEN),
    data:
      values.data === undefined
        ? resolve(projectRoot, DEFAULTS.data)
        : resolve(notEmpty('--data', values.data)),
    host: notEmpty('--host', values.host ?? DEFAULTS.host),
    traffic: !values['no-traffic'],
    examples: !values['no-examples'],
    detach: values.detach ?? false,
    grafana: values.grafana ?? false,
    otlp: values.otlp === undefined ? undefined : httpAddress('--otlp', values.otlp),
  };
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        sellers: { type: 'string' },
        'port-base': { type: 'string' },
        data: { type: 'string' },
        host: { type: 'string' },
        'no-traffic': { type: 'boolean' },
        'no-examples': { type: 'boolean' },
        detach: { type: 'boolean' },
        otlp: { type: 'string' },
        grafana: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (cause) {
    // "Unknown option '--foo'. To specify a positional argument …": the first sentence is enough.
    const [sentence] = (cause as Error).message.split('. ');
    throw new UsageError(`${sentence}; --help tells the flags`, { cause });
  }
}

function whole(flag: string, given: string, minimum: number, maximum: number): number {
  const value = Number(given);
  if (/^\d+$/.test(given) && value >= minimum && value <= maximum) return value;
  throw new UsageError(`${flag} ${JSON.stringify(given)}: give a whole number from ${minimum} to ${maximum}`);
}

function httpAddress(flag: string, given: string): string {
  if (isHttpAddress(given)) return given;
  throw new UsageError(`${flag} ${JSON.stringify(given)}: give an address like http://localhost:4318`);
}

function notEmpty(flag: string, given: string): string {
  if (given.trim() === '') throw new UsageError(`${flag} is empty: give it a value or leave it away`);
  return given;
}
