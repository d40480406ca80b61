import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { PORTS } from '#cdk8s/platform.ts';
import { integer, setting } from '#platform/config.ts';
import { serveHealth } from '#platform/health.ts';
import { pause } from '#platform/lifecycle.ts';
import { defineRole } from '#role/role.ts';
import { openOperatorMetrics } from './metrics.ts';
import { letGoOfPages } from './reconcilers/finalizer.ts';
import { EVENT, SECRET } from './reconcilers/kinds.ts';
import { readLayout } from './reconcilers/partitions/layout.ts';
import { bringDefinitions, type DefinitionsState } from './reconcilers/platform/definitions.ts';
import { PLATFORM_KEY, reconciler } from './reconcilers/reconcile.ts';
import { readLag, readOverHttp, whyNotReady } from './reconcilers/scaling/lag.ts';
import { SECRETS_LOOK_MS } from './reconcilers/secret-revisions.ts';
import { Watching } from './reconcilers/watching.ts';
import { kubeconfigAccess, serviceAccountAccess } from './runtime/access.ts';
import { openApi } from './runtime/api.ts';
import { LastApplied } from './runtime/apply.ts';
import { cachedKube } from './runtime/cached-kube.ts';
import { openKube } from './runtime/client.ts';
import { openEventRecorder } from './runtime/event-recorder.ts';
import { startElection, type Term } from './runtime/leader.ts';
import { Queue } from './runtime/queue.ts';

/** Bursts of changes, for example of a rollout, become one reconcile. */
const DEBOUNCE_MS = 200;
/** Secrets are read, not watched: the operator has no right to list them. Each look at them is a new one. */
const SECRETS_MS = SECRETS_LOOK_MS - 5_000;
/** Events are read while a pod does not get on, and no status says why. */
const EVENTS_MS = 10_000;
/** How often to ask which kinds of other operators the cluster serves. */
const OTHERS_MS = 60_000;

export const role = defineRole({
  name: 'operator',
  about:
    'turns the TopClients and PageViews of a namespace into everything else; any number may run, one acts at a time',
  settings: {
    namespace: setting('TC_NAMESPACE', 'the namespace it works in, its own', z.string().min(1)),
    image: setting(
      'TC_IMAGE',
      'image that the roles run unless the TopClients names one, as top-clients:1.0.0',
      z.string().min(1),
    ),
    podName: setting('TC_POD_NAME', 'name of its pod, told in Events and in the lease', z.string().min(1)),
    resyncSeconds: setting(
      'TC_RESYNC_SECONDS',
      'how long an object is left alone when nothing changes, in s',
      integer(5, 86_400).default(300),
    ),
    kubeconfig: setting(
      'TC_KUBECONFIG',
      "file with the address of the API server; the pod's service account when absent",
      z.string().min(1).optional(),
    ),
  },
  async start(config, { log, metrics: registry, releases, fail }) {
    const { namespace, image, podName } = config;
    const metrics = openOperatorMetrics(registry, ['TopClients', 'PageView']);
    const access = config.kubeconfig
      ? await kubeconfigAccess(config.kubeconfig)
      : await serviceAccountAccess(process.env);
    const api = openApi(access, (verb, code) => metrics.answered(verb, code));
    releases.push('connections to the API server', () => api.close());
    const kube = openKube(api);

    const stopping = new AbortController();
    let watching: Watching | null = null;
    const health = await serveHealth(config, {
      notReadyBecause: () => (watching ? watching.staleBecause() : 'the definitions are not there yet'),
      metrics: registry,
      log,
    });
    releases.push('health', () => health.close());
    releases.push('starting', () => stopping.abort());

    let queue: Queue | null = null;
    metrics.watchQueue(() => queue?.depth ?? 0);

    let definitions: DefinitionsState = { state: 'current' };
    const begin = async (): Promise<void> => {
      definitions = await bringDefinitions(kube, stopping.signal, log);
      if (stopping.signal.aborted) return;
      const follows = new Watching({
        api,
        kube,
        namespace,
        log,
        onChange: (keys) => {
          for (const key of keys) queue?.addAfter(key, DEBOUNCE_MS);
        },
        onRelist: (kind) => metrics.relisted(kind),
      });
      watching = follows;
      releases.push('informers', () => follows.stop());
      // After the election has stopped: a leader would put the finalizer back.
      releases.push('pages of a namespace that ends', () => letGoOfPages(kube, namespace, log));
      await follows.listed();
      if (stopping.signal.aborted) return;

      const election = startElection({
        // Its calls must fail early enough for a second try before the lease expires.
        kube: openKube(api, { deadlineMs: 2_000 }),
        namespace,
        name: 'top-clients-operator',
        identity: `${podName}_${randomUUID()}`,
        lead: (term) => lead(term, follows),
        onLeads: (leads) => metrics.leads(leads),
        log,
      });
      releases.push('election', () => election.stop());

      while (!stopping.signal.aborted) {
        await follows
          .followOthers()
          .catch((err: unknown) => log.warn({ err }, 'could not ask for the kinds of others'));
        await pause(OTHERS_MS, stopping.signal);
        const before = definitions;
        // Helm, or an operator that does not know better, may have set them back.
        definitions = await bringDefinitions(kube, stopping.signal, log, { again: true });
        if (before.state !== definitions.state) queue?.add(PLATFORM_KEY);
      }
    };

    const lead = async (term: Term, follows: Watching): Promise<void> => {
      const fenced = openKube(api, { fence: term });
      const kube = cachedKube(fenced, follows, {
        looked: [
          { kind: SECRET, everyMs: SECRETS_MS },
          { kind: EVENT, everyMs: EVENTS_MS },
        ],
      });
      const events = openEventRecorder({ kube: fenced, instance: podName, log });
      const mine = new Queue({
        reconcile: reconciler({
          kube,
          namespace,
          image,
          events,
          log,
          now: Date.now,
          definitions: () => definitions,
          readLayout: (relays) => readLayout(relays, readOverHttp(PORTS.health)),
          readLag: (pods, partitions) => readLag(pods, partitions, readOverHttp(PORTS.health)),
          whyNotReady: (pods) => whyNotReady(pods, PORTS.health),
          // The leader before may have applied something else.
          applied: new LastApplied(),
          onShown: metrics.shows,
        }),
        workers: 4,
        log,
        onReconciled: (key, result, seconds) =>
          metrics.reconciled(key === PLATFORM_KEY ? 'TopClients' : 'PageView', result, seconds),
      });
      queue = mine;
      while (!term.ending.aborted) {
        // Everything is reconciled again from time to time: a watch may miss a change, and some things have no watch.
        for (const key of follows.everything()) mine.add(key);
        await pause(config.resyncSeconds * 1_000, term.ending);
      }
      queue = null;
      metrics.forgetPages();
      await Promise.all([mine.stop(), events.close()]);
    };

    begin().catch(fail);
    log.info({ healthPort: health.port, namespace, image }, 'operates');
    return 'running';
  },
});
