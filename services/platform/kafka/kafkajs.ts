import { createRequire } from 'node:module';

/** kafkajs as this process has loaded it: its version, and its modules by path. */
export interface Library {
  readonly version: string;
  /** @throws Error when there is no such module */
  module(path: string): unknown;
}

/** The one that `import 'kafkajs'` gives; under jest the one of the spec file. */
export function loadedKafkajs(): Library {
  const require = createRequire(import.meta.url);
  const { version } = require('kafkajs/package.json') as { version: string };
  return { version, module: (path) => require(path) };
}

const require = createRequire(import.meta.url);

/** A private module of kafkajs, by its path under its sources. */
export const inside = <T>(module: string): T => require(`kafkajs/src/${module}`) as T;

/** A private module of kafkajs does not look as it did when our replacement was written. */
export class UnexpectedShape extends Error {
  override name = 'UnexpectedShape';
}

export function expectShape(holds: boolean, what: string): asserts holds {
  if (!holds) throw new UnexpectedShape(`kafkajs looks different: ${what}`);
}

/** kafkajs' definition of a kind of request. It is asked for a protocol at each call, so it may be replaced late. */
export interface Definition {
  readonly versions: readonly string[];
  protocol(wanted: { readonly version: number }): Protocol;
}
export type Protocol = (args: never) => { readonly request: RequestOf; readonly response: ResponseOf };
export interface RequestOf {
  readonly apiKey: number;
  readonly apiVersion: number;
  readonly apiName: string;
  encode(): Promise<object>;
}
export interface ResponseOf {
  decode(bytes: Buffer): Promise<unknown>;
  parse(decoded: never): Promise<unknown>;
}

const replaced = new WeakSet<object>();

/**
 * Applies `change` to the protocols that kafkajs makes for the given versions of a request. A second call changes
 * nothing.
 * @param example arguments with which the request can be made, to check that it has the expected shape
 * @throws UnexpectedShape
 */
export function replaceProtocol(
  library: Library,
  path: string,
  expected: { readonly apiKey: number; readonly apiName: string; readonly versions: readonly number[] },
  example: object,
  change: (version: number, theirs: Protocol) => Protocol,
): void {
  const definition = library.module(path) as Definition;
  if (replaced.has(definition)) return;
  const { apiKey, apiName, versions } = expected;
  expectShape(
    typeof definition?.protocol === 'function' && Array.isArray(definition.versions),
    `${path} has no versions with a protocol each`,
  );
  for (const version of versions) {
    expectShape(definition.versions.includes(String(version)), `${path} has no version ${version}`);
    const { request, response } = definition.protocol({ version })(example as never);
    expectShape(
      request?.apiKey === apiKey && request.apiName === apiName && request.apiVersion === version,
      `${path} makes something else than ${apiName} ${version}`,
    );
    expectShape(
      [request.encode, response?.decode, response?.parse].every((one) => typeof one === 'function'),
      `${apiName} ${version} is not encoded and decoded by functions`,
    );
  }
  expectShape(
    !definition.versions.some((one) => Number(one) > Math.max(...versions)),
    `${path} knows versions after ${Math.max(...versions)}`,
  );
  const protocol = definition.protocol;
  definition.protocol = (wanted) => {
    const theirs = protocol(wanted);
    return versions.includes(wanted.version) ? change(wanted.version, theirs) : theirs;
  };
  replaced.add(definition);
}
