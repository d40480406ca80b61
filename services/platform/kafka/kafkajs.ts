import kafkajs from 'kafkajs';
import about from 'kafkajs/package.json' with { type: 'json' };
import broker from 'kafkajs/src/broker/index.js';
import errors from 'kafkajs/src/errors.js';
import requestQueue from 'kafkajs/src/network/requestQueue/index.js';
import protocolErrors from 'kafkajs/src/protocol/error.js';
import apiKeys from 'kafkajs/src/protocol/requests/apiKeys.js';
import requests from 'kafkajs/src/protocol/requests/index.js';
import produce from 'kafkajs/src/protocol/requests/produce/index.js';

/** Named one by one, so that what bundles our programs puts these very modules into them, and no second copy. */
const MODULES = {
  kafkajs,
  'kafkajs/src/broker/index.js': broker,
  'kafkajs/src/errors.js': errors,
  'kafkajs/src/network/requestQueue/index.js': requestQueue,
  'kafkajs/src/protocol/error.js': protocolErrors,
  'kafkajs/src/protocol/requests/apiKeys.js': apiKeys,
  'kafkajs/src/protocol/requests/index.js': requests,
  'kafkajs/src/protocol/requests/produce/index.js': produce,
} as const;
export type Module = keyof typeof MODULES;

/** kafkajs as this process has loaded it: its version, and its modules by path. */
export interface Library {
  readonly version: string;
  module(path: Module): unknown;
}

/** The one that `import 'kafkajs'` gives; under jest the one of the spec file. */
export const loadedKafkajs = (): Library => ({ version: about.version, module: (path) => MODULES[path] });

type Inside<M> = M extends `kafkajs/src/${infer Path}` ? Path : never;

/** A private module of kafkajs, by its path under its sources. */
export const inside = <T>(module: Inside<Module>): T => MODULES[`kafkajs/src/${module}`] as T;

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
  path: Module,
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
