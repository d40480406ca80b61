import { randomUUID } from 'node:crypto';
import { PLATFORM_NAME } from '#cdk8s/api/top-clients.ts';
import { PORTS } from '#cdk8s/platform.ts';
import { pause } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import type { OperatorMetrics } from './metrics.ts';
import { letGoOfPages } from './reconcilers/finalizer.ts';
import { PLATFORM_KEY } from './reconcilers/keys.ts';
import { EVENT, SECRET, TOP_CLIENTS } from './reconcilers/kinds.ts';
import { readLayout } from './reconcilers/partitions/layout.ts';
import type { DefinitionsState } from './reconcilers/platform/definitions.ts';
import { readLag, readOverHttp, whyNotReady } from './reconcilers/scaling/lag.ts';
import { SECRETS_LOOK_MS } from './reconcilers/secret-revisions.ts';
import { overlap } from './reconcilers/status/overlap.ts';
import type { Watching } from './reconcilers/watching.ts';
import type { Api } from './runtime/api.ts';
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
/** Of each namespace that it works in, whoever leads there. */
export const LEASE = 'top-clients-operator';

export interface OperationSettings {
  readonly api: Api;
  readonly namespace: string;
  /** The installation that this process is of, as `namespace/name`. */
  readonly operator: string;
  readonly podName: string;
  readonly image: string;
  readonly resyncSeconds: number;
  readonly follows: Pick<Watching, 'of' | 'serves' | 'everything'>;
  readonly definitions: () => DefinitionsState;
  readonly metrics: OperatorMetrics;
  readonly log: Log;
}

/** The work in one namespace. */
export interface Operation {
  changed(keys: readonly string[]): void;
  /** Objects that wait for a worker. */
  depth(): number;
  stop(): Promise<void>;
}

/**
 * Stands for election in a namespace, and reconciles what is in it while it leads. Each namespace has a lease of its
 * own, whichever operators work there: none of them acts beside another.
 */
export function startOperation(settings: OperationSettings): Operation {
  const { api, namespace, operator, podName, image, follows, metrics, log } = settings;
  const kube = openKube(api);
  // Of a process that does not lead, which may not tell by a condition.
  const events = openEventRecorder({ kube, instance: podName, log });
  let queue: Queue | null = null;
  let rivals: readonly string[] = [];

  // What plans all the objects takes a third of the start. It is loaded once the operator is ready, and before it leads.
  const planning = import('./reconcilers/reconcile.ts');

  const lead = async (term: Term): Promise<void> => {
    const { reconciler } = await planning;
    const fenced = openKube(api, { fence: term });
    const cached = cachedKube(fenced, follows, {
      looked: [
        { kind: SECRET, everyMs: SECRETS_MS },
        { kind: EVENT, everyMs: EVENTS_MS },
      ],
    });
    const told = openEventRecorder({ kube: fenced, instance: podName, log });
    const mine = new Queue({
      reconcile: reconciler({
        kube: cached,
        namespace,
        image,
        events: told,
        log,
        now: Date.now,
        definitions: settings.definitions,
        operators: () => ({ leads: operator, wait: rivals }),
        readLayout: (relays) => readLayout(relays, readOverHttp(PORTS.health)),
        readLag: (pods, partitions) => readLag(pods, partitions, readOverHttp(PORTS.health)),
        whyNotReady: (pods) => whyNotReady(pods, PORTS.health),
        // The leader before may have applied something else.
        applied: new LastApplied(),
        onShown: (page, shown) => metrics.shows(namespace, page, shown),
      }),
      workers: 4,
      log,
      onReconciled: (key, result, seconds) =>
        metrics.reconciled(key === PLATFORM_KEY ? 'TopClients' : 'PageView', result, seconds),
    });
    queue = mine;
    while (!term.ending.aborted) {
      // Everything is reconciled again from time to time: a watch may miss a change, and some things have no watch.
      for (const key of follows.everything(namespace)) mine.add(key);
      await pause(settings.resyncSeconds * 1_000, term.ending);
    }
    queue = null;
    metrics.forgetPages(namespace);
    await Promise.all([mine.stop(), told.close()]);
  };

  /** Another installation leads here: it is named where people look, and nothing else is done. */
  const tellLeader = async (other: string): Promise<void> => {
    log.warn({ namespace, leads: other }, 'another operator works in this namespace; leaving it alone');
    const platform = await kube.get({ ...TOP_CLIENTS, namespace, name: PLATFORM_NAME });
    if (platform) events.event(platform, 'Warning', 'OperatorsOverlap', overlap(other, [operator]));
  };
  metrics.leads(namespace, false);
  const election = startElection({
    // Its calls must fail early enough for a second try before the lease expires.
    kube: openKube(api, { deadlineMs: 2_000 }),
    namespace,
    name: LEASE,
    identity: `${podName}_${randomUUID()}`,
    operator,
    lead,
    onLeads: (leads) => metrics.leads(namespace, leads),
    onLedBy: (other) => {
      metrics.ledBy(namespace, other);
      if (other !== null)
        tellLeader(other).catch((err: unknown) => log.warn({ err, namespace }, 'could not tell who leads'));
    },
    onRivals: (now) => {
      rivals = now;
      queue?.add(PLATFORM_KEY);
    },
    log,
  });

  return {
    changed(keys) {
      for (const key of keys) queue?.addAfter(key, DEBOUNCE_MS);
    },
    depth: () => queue?.depth ?? 0,
    async stop() {
      await election.stop();
      // After the election has stopped: a leader would put the finalizer back.
      await letGoOfPages(kube, namespace, log);
      await events.close();
      metrics.forget(namespace);
    },
  };
}
