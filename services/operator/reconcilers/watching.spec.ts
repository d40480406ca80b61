import { afterEach, expect, test } from '@jest/globals';
import { API_VERSION } from '#cdk8s/api/shared.ts';
import { pause } from '#platform/lifecycle.ts';
import { silentLog } from '#platform/log.ts';
import type { Api, WatchEvent } from '../runtime/api.ts';
import type { StoredObject } from '../runtime/kube.ts';
import { Watching } from './watching.ts';

/** Lists what is there by the end of an address, and hands over events as they are sent. */
class Server implements Pick<Api, 'call' | 'watch'> {
  readonly there = new Map<string, StoredObject[]>();
  readonly asked = new Set<string>();
  readonly #watches = new Map<string, (event: WatchEvent) => void>();

  async call({ path }: { readonly path: string }): Promise<unknown> {
    this.asked.add(path);
    return {
      metadata: { resourceVersion: '1' },
      items: this.there.get(path.slice(path.lastIndexOf('/') + 1)) ?? [],
    };
  }
  async watch({ path }: { readonly path: string }, _: number, end: AbortController) {
    const waiting: WatchEvent[] = [];
    let wake = () => {};
    this.#watches.set(path.slice(path.lastIndexOf('/') + 1), (event) => {
      waiting.push(event);
      wake();
    });
    end.signal.addEventListener('abort', () => wake());
    return (async function* () {
      while (!end.signal.aborted) {
        const event = waiting.shift();
        if (event) yield event;
        else
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
      }
    })();
  }
  async send(kind: string, type: string, object: StoredObject): Promise<void> {
    while (!this.#watches.has(kind)) await pause(1);
    this.#watches.get(kind)!({ type, object });
  }
}

let version = 1;
const object = (
  apiVersion: string,
  kind: string,
  namespace: string,
  name: string,
  metadata: object = {},
): StoredObject => ({
  apiVersion,
  kind,
  metadata: {
    ...{ name, namespace, uid: `${namespace}-${name}`, resourceVersion: String(++version) },
    ...{ generation: version, creationTimestamp: '2026-11-23T12:00:00Z' },
    ...metadata,
  },
});
const platform = (namespace: string) => object(API_VERSION, 'TopClients', namespace, 'top-clients');
const page = (namespace: string, name: string) => object(API_VERSION, 'PageView', namespace, name);

let running: Watching | null = null;
afterEach(() => running?.stop());

async function watching(server: Server, scope: string | null) {
  const changes: [namespace: string, keys: readonly string[]][] = [];
  running = new Watching({
    api: server as unknown as Api,
    kube: { serves: async () => false },
    scope,
    log: silentLog,
    onChange: (namespace, keys) => changes.push([namespace, [...keys].sort()]),
    onRelist: () => {},
  });
  await running.listed();
  changes.length = 0;
  const next = async () => {
    while (changes.length === 0) await pause(1);
    return changes.shift();
  };
  return { follows: running, next };
}

test('all namespaces are followed by one watch a kind, and what changes in one wakes no other', async () => {
  const server = new Server();
  server.there.set('topclients', [platform('shop'), platform('mall')]);
  server.there.set('pageviews', [page('shop', 'gig'), page('shop', 'user'), page('mall', 'gig')]);
  const { follows, next } = await watching(server, null);
  expect([...server.asked].filter((path) => path.includes('/namespaces/'))).toEqual([]);
  expect(follows.namespaces()).toEqual(new Set(['shop', 'mall']));
  expect(follows.everything('mall')).toEqual(['topclients', 'pageview/gig']);

  await server.send('topclients', 'MODIFIED', platform('mall'));
  expect(await next()).toEqual(['mall', ['pageview/gig', 'topclients']]);
  const owner = { apiVersion: API_VERSION, uid: 'u', controller: true };
  const owned = (kind: string, name: string, namespace: string) =>
    object('apps/v1', 'Deployment', namespace, 'x', { ownerReferences: [{ ...owner, kind, name }] });
  await server.send('deployments', 'ADDED', owned('PageView', 'gig', 'shop'));
  expect(await next()).toEqual(['shop', ['pageview/gig']]);
  const labels = { 'app.kubernetes.io/component': 'projector', 'app.kubernetes.io/instance': 'user-v1' };
  await server.send('pods', 'ADDED', object('v1', 'Pod', 'mall', 'user', { labels }));
  // There is no page user in that namespace.
  expect(await next()).toEqual(['mall', ['topclients']]);
  await server.send('pods', 'ADDED', object('v1', 'Pod', 'shop', 'user', { labels }));
  expect(await next()).toEqual(['shop', ['pageview/user']]);

  await server.send('pageviews', 'DELETED', page('mall', 'gig'));
  // The platform looks after what is left of it.
  expect(await next()).toEqual(['mall', ['pageview/gig', 'topclients']]);
  await server.send('topclients', 'DELETED', platform('mall'));
  await next();
  expect(follows.namespaces()).toEqual(new Set(['shop']));
});

test('one namespace is asked for alone', async () => {
  const server = new Server();
  server.there.set('topclients', [platform('shop')]);
  const { follows } = await watching(server, 'shop');
  expect([...server.asked].filter((path) => !path.includes('/namespaces/shop/'))).toEqual([]);
  expect(follows.everything('shop')).toEqual(['topclients']);
});
