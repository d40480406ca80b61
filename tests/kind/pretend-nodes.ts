/**
 * Runs no pod and says that it does. Pods that no node takes (their node selector fits none) are given the status that
 * a kubelet would write, so that the real controllers go on from there: the operator meets everything but containers.
 */
import { createServer, type Server } from 'node:http';
import { pause } from '#platform/lifecycle.ts';
import { type Kube, KubeError, type StoredObject } from '../../services/operator/runtime/kube.ts';

/** What becomes of a pod; null leaves it waiting. Services run; jobs end, with or without last words. */
export type Fate = null | { readonly runs: true } | { readonly exits: number; readonly words?: string };

const POD = { apiVersion: 'v1', kind: 'Pod' };
/** No node has it. */
export const NOWHERE = { 'topclients.dev/runs-on': 'pretend-nodes' };

export class PretendNodes {
  /** Where projectors are asked for their metrics; a loopback address of this process. */
  readonly address: string;
  /** What a pod becomes, by component and pod. */
  fate: (component: string, pod: StoredObject) => Fate = () => null;
  /** Records behind on each partition, as every projector reports; null reports nothing. */
  lag: number | null = 0;
  readonly #kube: Kube;
  readonly #namespace: string;
  readonly #partitions: number;
  readonly #stopped = new AbortController();
  #server: Server | null = null;
  #running: Promise<void> = Promise.resolve();

  constructor(kube: Kube, namespace: string, partitions: number) {
    this.#kube = kube;
    this.#namespace = namespace;
    this.#partitions = partitions;
    const part = () => 1 + Math.floor(Math.random() * 254);
    this.address = `127.77.${part()}.${part()}`;
  }

  async start(port: number): Promise<void> {
    const server = createServer((_, res) => {
      const lines = Array.from(
        { length: this.lag === null ? 0 : this.#partitions },
        (_, partition) =>
          `topclients_projector_lag_records{page="gig",partition="${partition}"} ${this.lag}\n`,
      );
      res.end(lines.join(''));
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, this.address, resolve);
    });
    this.#server = server;
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
    this.#server?.closeAllConnections();
    this.#server?.close();
  }

  async #run(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      const pods = await this.#kube.list(POD, this.#namespace).catch(() => []);
      for (const pod of pods) await this.#tend(pod).catch(ignoreRaces);
      await pause(150, this.#stopped.signal);
    }
  }

  async #tend(pod: StoredObject): Promise<void> {
    const { metadata, spec, status } = pod;
    const phase = status?.phase ?? 'Pending';
    if (phase !== 'Pending' || metadata.deletionTimestamp) return;
    const fate = this.fate(metadata.labels?.['app.kubernetes.io/component'] ?? '', pod);
    if (fate === null) return;
    const now = new Date().toISOString();
    const conditions = ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'].map((type) => ({
      type,
      status: 'runs' in fate || type === 'PodScheduled' ? 'True' : 'False',
      lastTransitionTime: now,
    }));
    const containers = (spec.containers as { name: string; image: string }[]).map(({ name, image }) => ({
      name,
      image,
      imageID: image,
      ready: 'runs' in fate,
      restartCount: 0,
      state:
        'runs' in fate
          ? { running: { startedAt: now } }
          : {
              terminated: {
                exitCode: fate.exits,
                reason: fate.exits === 0 ? 'Completed' : 'Error',
                startedAt: now,
                finishedAt: now,
                message: fate.words ?? '',
              },
            },
    }));
    await this.#kube.patch(
      { ...POD, namespace: this.#namespace, name: metadata.name },
      {
        status: {
          phase: 'runs' in fate ? 'Running' : fate.exits === 0 ? 'Succeeded' : 'Failed',
          podIP: this.address,
          podIPs: [{ ip: this.address }],
          startTime: now,
          conditions,
          containerStatuses: containers,
        },
      },
      'status',
    );
  }
}

/** A pod that is gone or was changed meanwhile is looked at again in a moment. */
const ignoreRaces = (err: unknown): void => {
  if (!(err instanceof KubeError)) throw err;
};
