// biome-ignore lint/style/noRestrictedImports: nobody but specs calls it
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { listen } from '#platform/listen.ts';
import type { StoredObject } from '../runtime/kube.ts';

interface Address {
  readonly group: string;
  readonly namespace: string | undefined;
  readonly plural: string;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}
interface Watch {
  readonly address: Address;
  readonly labels: string | null;
  readonly response: ServerResponse;
}

/** An API server as far as whole operators need one, over HTTP: any number of namespaces, watches, rights by namespace. */
export class ApiServer {
  /** In which every request is refused. */
  readonly forbidden = new Set<string>();
  /** Every request, as `GET /api/v1/pods`. */
  readonly asked: string[] = [];
  /** Told the plural of each object that a client has written. */
  onWrite: (plural: string) => void = () => {};
  readonly #objects = new Map<string, StoredObject>();
  readonly #watches = new Set<Watch>();
  #version = 0;
  url = '';

  async open(): Promise<() => void> {
    const server = createServer((request, response) => {
      this.#answer(request, response).catch((err: unknown) => response.destroy(err as Error));
    });
    this.url = `http://127.0.0.1:${await listen(server, 0, '127.0.0.1')}`;
    return () => {
      server.closeAllConnections();
      server.close();
    };
  }

  every(): readonly StoredObject[] {
    return [...this.#objects.values()];
  }
  all(plural: string, namespace: string): StoredObject[] {
    return [...this.#objects].flatMap(([key, object]) =>
      key.includes(`|${plural}|`) && object.metadata.namespace === namespace ? [object] : [],
    );
  }
  one(plural: string, namespace: string, name: string): StoredObject | undefined {
    return this.all(plural, namespace).find(({ metadata }) => metadata.name === name);
  }
  /** As a person would. */
  put(
    plural: string,
    object: object & { readonly apiVersion: string; readonly metadata: { name: string; namespace: string } },
  ): void {
    const { name, namespace } = object.metadata;
    const group = object.apiVersion.replace(/\/?[^/]*$/, '');
    this.#store({ group, namespace, plural, name, subresource: undefined }, object);
  }
  remove(plural: string, namespace: string, name: string): void {
    for (const [key, object] of this.#objects) {
      if (key.includes(`|${plural}|${namespace}|${name}`)) {
        this.#objects.delete(key);
        this.#tell('DELETED', key, object);
      }
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url!, this.url);
    this.asked.push(`${request.method} ${url.pathname}`);
    const send = (code: number, body: unknown) => {
      response.writeHead(code, { 'content-type': 'application/json' });
      response.end(JSON.stringify(body));
    };
    const address = addressOf(url.pathname);
    const refuse = (code: number, reason: string) => send(code, { message: reason, reason });
    if (!address) return refuse(404, 'NotFound');
    if (this.forbidden.has(address.namespace ?? '')) return refuse(403, 'Forbidden');
    const key = keyOf(address);
    const live = this.#objects.get(key);
    const labels = url.searchParams.get('labelSelector');
    if (request.method === 'GET' && address.name === undefined) {
      if (url.searchParams.has('watch')) {
        response.writeHead(200, { 'content-type': 'application/json' });
        response.flushHeaders();
        const watch = { address, labels, response };
        this.#watches.add(watch);
        const seconds = Number(url.searchParams.get('timeoutSeconds') ?? 60);
        const end = setTimeout(() => response.end(), seconds * 1_000).unref();
        response.on('close', () => {
          clearTimeout(end);
          this.#watches.delete(watch);
        });
        return;
      }
      const items = [...this.#objects].flatMap(([one, object]) =>
        isIn(address, labels, one, object) ? [object] : [],
      );
      return send(200, { metadata: { resourceVersion: String(this.#version) }, items });
    }
    if (address.plural === 'namespaces') return send(200, { metadata: { name: address.name } });
    let text = '';
    for await (const chunk of request) text += chunk;
    const body = text === '' ? {} : JSON.parse(text);
    if (request.method !== 'GET') setImmediate(() => this.onWrite(address.plural));
    switch (request.method) {
      case 'GET':
        return live ? send(200, live) : refuse(404, 'NotFound');
      case 'POST': {
        const made = { ...address, name: body.metadata.name as string };
        if (this.#objects.has(keyOf(made))) return refuse(409, 'AlreadyExists');
        return send(201, this.#store(made, body));
      }
      case 'PUT':
        if (!live) return refuse(404, 'NotFound');
        if (body.metadata.resourceVersion !== live.metadata.resourceVersion) return refuse(409, 'Conflict');
        return send(200, this.#store(address, body));
      case 'PATCH':
        return send(
          200,
          this.#store(
            address,
            address.subresource === 'status' ? { ...live, status: body.status } : { ...live, ...body },
          ),
        );
      case 'DELETE':
        if (live) this.remove(address.plural, address.namespace ?? '', address.name!);
        return send(200, {});
      default:
        return refuse(405, 'MethodNotAllowed');
    }
  }

  #store(address: Address, object: object): StoredObject {
    const key = keyOf(address);
    const before = this.#objects.get(key);
    this.#version += 1;
    const { metadata, stringData, ...rest } = object as StoredObject & { readonly stringData?: object };
    const stored = {
      ...rest,
      ...(stringData ? { data: encoded(stringData) } : {}),
      ...(address.plural === 'customresourcedefinitions'
        ? { status: { conditions: [{ type: 'Established', status: 'True' }] } }
        : {}),
      metadata: {
        ...before?.metadata,
        ...metadata,
        uid: before?.metadata.uid ?? `uid-${this.#version}`,
        generation: 1,
        creationTimestamp: '2026-11-23T12:00:00Z',
        resourceVersion: String(this.#version),
      },
    };
    this.#objects.set(key, stored);
    this.#tell(before ? 'MODIFIED' : 'ADDED', key, stored);
    return stored;
  }

  #tell(type: string, key: string, object: StoredObject): void {
    for (const { address, labels, response } of this.#watches)
      if (isIn(address, labels, key, object)) response.write(`${JSON.stringify({ type, object })}\n`);
  }
}

const encoded = (texts: object) =>
  Object.fromEntries(
    Object.entries(texts).map(([name, text]) => [name, Buffer.from(text as string).toString('base64')]),
  );

const keyOf = ({ group, plural, namespace = '', name = '' }: Address): string =>
  `${group}|${plural}|${namespace}|${name}`;

function isIn(
  { group, plural, namespace }: Address,
  labels: string | null,
  key: string,
  object: StoredObject,
): boolean {
  const [label = '', value] = labels?.split('=') ?? [];
  return (
    key.startsWith(`${group}|${plural}|`) &&
    (namespace === undefined || object.metadata.namespace === namespace) &&
    (label === '' || object.metadata.labels?.[label] === value)
  );
}

/** Null for the list of a group's kinds: none of others is served. */
function addressOf(path: string): Address | null {
  const [, root, ...parts] = path.split('/');
  const group = root === 'apis' ? (parts.shift() ?? '') : '';
  parts.shift();
  const inNamespace = parts[0] === 'namespaces' && parts.length > 2;
  const [plural, name, subresource] = inNamespace ? parts.slice(2) : parts;
  if (plural === undefined) return null;
  return { group, namespace: inNamespace ? parts[1] : undefined, plural, name, subresource };
}
