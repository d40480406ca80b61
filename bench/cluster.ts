/**
 * A cluster on which all is well, for the operator to look after: an API server with a platform and its pages, what the
 * controllers of Kubernetes make of their objects, and what the pods say of themselves.
 */
import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { API_VERSION } from '#cdk8s/api/shared.ts';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import { PORTS } from '#cdk8s/platform.ts';
import { DEMO } from '#cdk8s/testing/platforms.ts';
import { PAGE_NAMES } from '#contracts/pages.ts';
import { type Cluster as Objects, settle } from '../services/operator/reconcilers/testing/controllers.ts';
import { collectionPath } from '../services/operator/runtime/resources.ts';
import { ApiServer } from '../services/operator/testing/api-server.ts';

export const NAMESPACE = 'shop';
/** All pods have one address of the machine's own network, another one in each process, where the port of pods is free. */
const POD_IP = `127.77.${(process.pid >> 8) & 255}.${process.pid & 255}`;
const PARTITIONS = 12;
/** How long controllers take, in ms. */
const CONTROLLERS_MS = 100;

/** What a relay says of the layout and projectors of their lag. The operator reads no more of it. */
const METRICS = [
  `topclients_partition_layout_partitions ${PARTITIONS}`,
  ...Array.from({ length: PARTITIONS }, (_, one) => `topclients_projector_lag_records{partition="${one}"} 0`),
  '',
].join('\n');

export interface Cluster {
  /** Of its API server. */
  readonly url: string;
  close(): Promise<void>;
}

export async function openCluster(): Promise<Cluster> {
  const server = new ApiServer();
  const closeServer = await server.open();
  const closePods = await servePods();
  own(server, 'TopClients', 'top-clients', DEMO.topClients);
  for (const page of PAGE_NAMES) own(server, 'PageView', page, {});

  let isClosed = false;
  let wanted = false;
  server.onWrite = (plural) => {
    wanted ||= ['deployments', 'statefulsets', 'jobs'].includes(plural);
  };
  const controllers = (async () => {
    while (!isClosed) {
      await delay(CONTROLLERS_MS);
      if (!wanted) continue;
      wanted = false;
      settle(objectsOf(server), Date.now(), comparedWell, POD_IP);
    }
  })();
  return {
    url: server.url,
    async close() {
      isClosed = true;
      await controllers;
      closeServer();
      await closePods();
    },
  };
}

/** Each Job succeeds; one that compares a view finds nothing. */
const comparedWell = () => ({
  words: JSON.stringify({ sellers: 0, differing: 0, examples: [], caughtUp: true }),
});

const pluralOf = (kind: Pick<KubeObject, 'apiVersion' | 'kind'>): string =>
  collectionPath(kind, NAMESPACE).split('/').at(-1)!;

/** What controllers find, and write: as often as they are asked, but never what is there already. */
function objectsOf(server: ApiServer): Objects {
  const ofKind = (kind: string) => server.every().filter((object) => object.kind === kind);
  return {
    objects: { values: () => server.every() },
    put(object, status) {
      const plural = pluralOf(object);
      const before = server.one(plural, NAMESPACE, object.metadata.name);
      if (before && JSON.stringify(before.status) === JSON.stringify(status)) return;
      server.put(plural, { ...object, status } as never);
    },
    names: (kind) => ofKind(kind).map(({ metadata }) => metadata.name),
    remove(kind, name) {
      for (const object of ofKind(kind))
        if (object.metadata.name === name) server.remove(pluralOf(object), NAMESPACE, name);
    },
  };
}

/** @returns what ends it */
function servePods(): Promise<() => Promise<void>> {
  const server = createServer((_request, response) => void response.end(METRICS));
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(PORTS.health, POD_IP, () =>
      resolve(async () => {
        const closed = new Promise((done) => server.close(done));
        server.closeAllConnections();
        await closed;
      }),
    );
  });
}

function own(server: ApiServer, kind: 'TopClients' | 'PageView', name: string, spec: object): void {
  const object = { apiVersion: API_VERSION, kind, metadata: { name, namespace: NAMESPACE }, spec };
  server.put(pluralOf(object), object);
}
