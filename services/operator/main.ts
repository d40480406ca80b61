import { z } from 'zod';
import { RANGES } from '#contracts/ranges.ts';
import { integerIn, setting } from '#platform/config.ts';
import { serveHealth } from '#platform/health.ts';
import { pause } from '#platform/lifecycle.ts';
import { defineRole } from '#role/role.ts';
import { openOperatorMetrics } from './metrics.ts';
import { type Operation, startOperation } from './operation.ts';
import { PLATFORM_KEY } from './reconcilers/keys.ts';
import { bringDefinitions, type DefinitionsState } from './reconcilers/platform/definitions.ts';
import { Watching } from './reconcilers/watching.ts';
import { serviceAccountAccess } from './runtime/access.ts';
import { openApi } from './runtime/api.ts';
import { openKube } from './runtime/client.ts';
import { namespaces } from './scope.ts';

/** How often to ask which kinds of other operators the cluster serves. */
const OTHERS_MS = 60_000;

export const role = defineRole({
  name: 'operator',
  about:
    'turns the TopClients and PageViews of namespaces into everything else; any number may run, in each namespace one acts at a time',
  settings: {
    namespace: setting('TC_NAMESPACE', 'the namespace it is installed in', z.string().min(1)),
    watched: setting(
      'TC_WATCH_NAMESPACES',
      'the namespaces it works in, separated by commas; * for all; its own alone when absent',
      namespaces().optional(),
    ),
    name: setting(
      'TC_OPERATOR_NAME',
      'by which it is told from other operators of its namespace',
      z.string().min(1).default('top-clients-operator'),
    ),
    image: setting(
      'TC_IMAGE',
      'image that the roles run unless the TopClients names one, as top-clients:1.0.0',
      z.string().min(1),
    ),
    podName: setting('TC_POD_NAME', 'name of its pod, told in Events and in the lease', z.string().min(1)),
    resyncSeconds: setting(
      'TC_RESYNC_SECONDS',
      'how long an object is left alone when nothing changes, in s',
      integerIn(RANGES.operator.resyncSeconds),
    ),
    kubeconfig: setting(
      'TC_KUBECONFIG',
      "file with the address of the API server; the pod's service account when absent",
      z.string().min(1).optional(),
    ),
  },
  async start(config, { log, metrics: registry, releases, fail }) {
    const { namespace, image, podName, resyncSeconds } = config;
    const watched = config.watched ?? [namespace];
    const metrics = openOperatorMetrics(registry, ['TopClients', 'PageView']);
    const access = config.kubeconfig
      ? // Loaded only here: a pod has no kubeconfig.
        await (await import('./runtime/kubeconfig.ts')).kubeconfigAccess(config.kubeconfig)
      : await serviceAccountAccess(process.env);
    const api = openApi(access, (verb, code) => metrics.answered(verb, code));
    releases.push('connections to the API server', () => api.close());
    const kube = openKube(api);

    const stopping = new AbortController();
    const follows: Watching[] = [];
    const operations = new Map<string, Operation>();
    const health = await serveHealth(config, {
      notReadyBecause: () =>
        follows.length === 0
          ? 'the definitions are not there yet'
          : (follows.map((one) => one.staleBecause()).find((because) => because !== null) ?? null),
      metrics: registry,
      log,
    });
    releases.push('health', () => health.close());
    releases.push('starting', () => stopping.abort());
    metrics.watchQueue(() => [...operations.values()].reduce((sum, one) => sum + one.depth(), 0));

    let definitions: DefinitionsState = { state: 'current' };
    const operate = (where: string, watching: Watching): void => {
      if (stopping.signal.aborted || operations.has(where)) return;
      const operation = startOperation({
        ...{ api, podName, image, resyncSeconds, metrics, log },
        namespace: where,
        operator: `${namespace}/${config.name}`,
        follows: watching,
        definitions: () => definitions,
      });
      operations.set(where, operation);
    };
    const leave = async (where: string): Promise<void> => {
      const operation = operations.get(where);
      operations.delete(where);
      await operation?.stop();
    };
    /** Where all namespaces are watched, an empty one is not worked in: its lease would be renewed for nothing. */
    const followNamespaces = async (watching: Watching): Promise<void> => {
      const there = watching.namespaces();
      for (const where of there) operate(where, watching);
      await Promise.all([...operations.keys()].filter((where) => !there.has(where)).map(leave));
    };
    const watch = async (scope: string | null): Promise<void> => {
      let isListed = false;
      const watching: Watching = new Watching({
        ...{ api, kube, scope, log },
        onChange: (where, keys) => {
          operations.get(where)?.changed(keys);
          if (scope === null && isListed && watching.namespaces().has(where) !== operations.has(where))
            followNamespaces(watching).catch(fail);
        },
        onRelist: (kind) => metrics.relisted(kind),
      });
      follows.push(watching);
      await watching.listed();
      if (stopping.signal.aborted) return;
      isListed = true;
      if (scope === null) await followNamespaces(watching);
      else operate(scope, watching);
    };

    const begin = async (): Promise<void> => {
      definitions = await bringDefinitions(kube, stopping.signal, log);
      if (stopping.signal.aborted) return;
      releases.push('informers', async () => {
        await Promise.all(follows.map((one) => one.stop()));
      });
      releases.push('operations', async () => {
        // A change that is heard of now begins nothing anew.
        stopping.abort();
        await Promise.all([...operations.keys()].map(leave));
      });
      // A namespace that is not there, or may not be read, holds up no other.
      const begun = (watched === 'all' ? [null] : watched).map(watch);
      for (const one of begun) one.catch(fail);

      while (!stopping.signal.aborted) {
        for (const one of follows)
          await one
            .followOthers()
            .catch((err: unknown) => log.warn({ err }, 'could not ask for the kinds of others'));
        await pause(OTHERS_MS, stopping.signal);
        const before = definitions;
        // Helm, or an operator that does not know better, may have set them back.
        definitions = await bringDefinitions(kube, stopping.signal, log, { again: true });
        if (before.state !== definitions.state)
          for (const operation of operations.values()) operation.changed([PLATFORM_KEY]);
      }
    };

    begin().catch(fail);
    log.info({ healthPort: health.port, namespace, watched, image }, 'operates');
    return 'running';
  },
});
