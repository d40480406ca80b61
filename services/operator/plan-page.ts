import type { PageViewSpec, PageViewStatus, ViewId } from '#cdk8s/api/page-view.ts';
import { projectorInstance } from '#cdk8s/constructs/projector.ts';
import { scalesByKeda } from '#cdk8s/constructs/scaling.ts';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import { compareJob, dropJob, type PageObjects, pageObjects, platformObjects } from '#cdk8s/manifests.ts';
import { names, type PagePlan, type Platform, partitionsOf, wantedView } from '#cdk8s/platform.ts';
import { no, type Said, type Trouble, yes } from './conditions.ts';
import type { Existing, PageSight } from './gather.ts';
import { refOf, SCALED_OBJECT } from './kinds.ts';
import type { StoredObject } from './kube/kube.ts';
import {
  conditionsIn,
  type Fact,
  firstFact,
  groupsUpTo,
  lacking,
  leaveAsItIs,
  type Migrations,
  migrationsOf,
  type Plan,
  removal,
  retryAt,
  rollingOut,
  served,
  stuck,
  toPrune,
  workloadsOf,
} from './plan.ts';
import { storesNotReady } from './plan-platform.ts';
import { readPageSpec, statusOf } from './read-spec.ts';
import { jobState, lastWords, type Pods } from './readiness.ts';
import { decideReplicas, mostProjectors, type Recommendation } from './scaler.ts';
import { isRotating, ROTATING_MS } from './secrets.ts';
import {
  attemptOf,
  type Building,
  type Comparison,
  decideView,
  isView,
  type Lag,
  type Remains,
  type Shown,
  same,
  type Verdict,
  viewColumn,
} from './view-switch.ts';

type Group = keyof PageObjects;

interface Situation {
  readonly migrations: Migrations;
  readonly workloads: readonly Pods[];
  /** Why the platform's stores cannot be used. */
  readonly stores: string | null;
}

const FACTS: readonly Fact<Situation, Group>[] = [
  {
    name: 'PlatformNotReady',
    upTo: 'ground',
    because: ({ migrations, stores }) => (migrations.complete ? null : stores),
  },
  {
    name: 'MigrationFailed',
    upTo: 'migrations',
    alarming: true,
    because: ({ migrations }) => migrations.failed.map(({ message }) => message).join('; ') || null,
  },
  {
    name: 'Migrating',
    upTo: 'migrations',
    because: ({ migrations }) =>
      migrations.complete ? null : `waiting for ${migrations.pending.join(', ')}`,
  },
  { name: 'RollingOut', upTo: 'workloads', because: ({ workloads }) => rollingOut(workloads) },
];

/** A plan, and what the built-in scaler recommended, to be told again next time. */
export interface PagePlanned {
  readonly plan: Plan;
  readonly history: readonly Recommendation[];
}

/**
 * Decides all about one page; null when it is on its way out.
 * @param history what the scaler recommended before
 */
export function planPage(sight: PageSight, history: readonly Recommendation[]): PagePlanned | null {
  const { page, name, platform, existing, now } = sight;
  if (page.metadata.deletionTimestamp) return null;
  const before = conditionsIn(page);
  const leave = (reason: string, message: string): PagePlanned => ({
    plan: leaveAsItIs(page, before, { reason, message }),
    history,
  });
  const spec = readPageSpec(page.spec);
  if ('invalid' in spec) {
    return leave('InvalidSpec', `this operator cannot use ${spec.invalid}. What runs is left as it is`);
  }
  if ('invalid' in sight.memory) {
    return leave(
      'InvalidStatus',
      `this operator cannot use ${sight.memory.invalid}. What runs is left as it is`,
    );
  }
  if (!platform) {
    return leave('PlatformMissing', 'there is no TopClients in this namespace; create one named top-clients');
  }
  if ('invalid' in platform) {
    return leave('PlatformInvalid', `the TopClients of this namespace cannot be used: ${platform.invalid}`);
  }
  const at = { platform: platform.read, page: name, existing };
  const wanted: Shown = wantedView(spec.read) ?? { delivery: spec.read.delivery as 'synchronous' | 'off' };
  const memory = sight.memory.read;
  const said = before.find(({ type }) => type === 'ViewCurrent') ?? null;
  const decision = decideView({
    now,
    wanted,
    keepMs: spec.read.view.keepSeconds * 1_000,
    memory,
    lag: sight.lag.building ?? { unknown: 'its projectors do not run yet' },
    comparison: memory.building ? comparisonOf(at, memory.building) : { state: 'none' },
    remainsOf: (view) => remainsOf(at, view),
    serversSettled: memory.shown !== null && serversShow(at, memory.shown),
    said,
  });

  const { shown } = decision.memory;
  const running: PagePlan = {
    name,
    spec: spec.read,
    projected: decision.projected,
    keptUp: decision.keptUp,
    shown,
  };
  const groups = pageObjects(platform.read, running);
  const viewJobs = [
    ...(decision.compare
      ? [compareJob(platform.read, name, decision.compare.view, decision.compare.attempt)]
      : []),
    ...decision.drop.map((view) => dropJob(platform.read, name, view)),
  ];
  const migrations = migrationsOf(groups.migrations, existing);
  const workloads = workloadsOf(groups.workloads, existing);
  const fact = firstFact(FACTS, {
    migrations,
    workloads,
    stores: storesNotReady(platformObjects(platform.read).stores, existing),
  });
  const open = fact === null || fact.upTo === 'workloads';
  const applied = served([...groupsUpTo(groups, fact?.upTo ?? null), ...(open ? viewJobs : [])], existing);

  const degradedBefore = before.find(
    ({ type, status, reason }) => type === 'Degraded' && status === 'True' && reason === 'MigrationFailed',
  );
  const retried = migrations.failed.filter(({ at: failedAt }) => now >= retryAt(failedAt, degradedBefore));
  const dropsFailed = viewJobs.flatMap((job) => {
    const live = existing.find(refOf(job));
    const state = jobState(live);
    return live && state.state === 'failed' && componentOf(live) === 'drop-view'
      ? [{ job: live, at: state.at, because: lastWords(job.metadata.name, existing.pods) ?? state.because }]
      : [];
  });
  const dropsRetried = dropsFailed.filter(({ at: failedAt }) => now >= retryAt(failedAt, undefined));
  const again = [...retried, ...dropsRetried].map(({ job }) => job);
  const againNames = new Set(again.map(({ metadata }) => metadata.name));

  const scaling = scale(sight, spec.read, platform.read, running, history);
  const keda = spec.read.autoscaling.mode === 'keda' && !platform.read.capabilities.keda;
  const missing = applied.missing.filter((kind) => !(keda && kind.includes('keda.sh')));
  const troubles: Trouble[] = [
    ...(fact?.alarming ? [{ reason: fact.name, message: fact.message }] : []),
    ...(degradedBefore && !fact?.alarming && !migrations.complete
      ? [{ reason: 'MigrationFailed', message: degradedBefore.message }]
      : []),
    ...dropsFailed.map(({ because }) => ({
      reason: 'DropFailed',
      message: `the rows of a view that left could not be removed: ${because}; it is tried again`,
    })),
    ...(missing.length > 0
      ? [
          {
            reason: 'ApiMissing',
            message: lacking(missing, 'install what brings them, or turn off what needs them'),
          },
        ]
      : []),
    ...stuck(workloads),
  ];

  const servers = workloads.find((one) => one.name === names.page(name));
  const projectors = isView(shown)
    ? workloads.find((one) => one.name === names.projector(name, shown))
    : undefined;
  const lag = typeof sight.lag.shown === 'number' ? sight.lag.shown : undefined;
  const status: Omit<PageViewStatus, 'conditions'> = {
    observedGeneration: page.metadata.generation ?? 0,
    ready: `${servers?.ready ?? 0}/${servers?.wanted ?? spec.read.server.replicas}`,
    ...replicasOf(at, shown),
    ...(lag === undefined ? {} : { lag }),
    view: viewColumn(decision.memory),
    ...statusOf(decision.memory),
  };
  const waits = [
    decision.againInMs,
    // Lag is told by nobody.
    decision.projected.length > 0 ? spec.read.autoscaling.pollingSeconds * 1_000 : null,
    fact ? 15_000 : null,
    sight.object && isRotating(platform.read, sight.object) ? ROTATING_MS : null,
    ...migrations.failed.map(({ at: failedAt }) => Math.max(1_000, retryAt(failedAt, degradedBefore) - now)),
    ...dropsFailed.map(({ at: failedAt }) => Math.max(1_000, retryAt(failedAt, undefined) - now)),
  ].filter((ms) => ms !== null);

  return {
    history: scaling.history,
    plan: {
      secrets: [],
      rotated: [],
      ensure: applied.objects.filter(({ metadata }) => !againNames.has(metadata.name)),
      remove: [
        ...again.map(removal),
        ...(open
          ? toPrune(page, [...Object.values(groups).flat(), ...viewJobs], existing, { jobsToo: true })
          : []),
      ],
      scaleTo: scaling.scaleTo,
      status,
      decided: remembered(decision.memory) !== remembered(memory),
      observed: page.metadata.generation ?? 0,
      said: {
        Ready: available(servers, projectors, shown),
        Progressing: fact
          ? yes(fact.name, fact.message)
          : decision.memory.building
            ? yes('BuildingView', decision.current.message)
            : no('Settled', 'everything is as the spec wants it'),
        AutoscalingReady: scaling.said,
        ViewCurrent: decision.current,
      },
      troubles,
      events: decision.events,
      againInMs: waits.length > 0 ? Math.min(...waits) : null,
    },
  };
}

interface At {
  readonly platform: Platform;
  readonly page: PageSight['name'];
  readonly existing: Existing;
}

const labelOf = (object: { readonly metadata: KubeObject['metadata'] }, label: string): string | undefined =>
  object.metadata.labels?.[`app.kubernetes.io/${label}`];
const componentOf = (object: StoredObject) => labelOf(object, 'component');

/** What would be lost if it were forgotten; how far a build has come is none of it. */
function remembered({
  shown,
  building,
  kept,
}: {
  shown: Shown | null;
  building: Building | null;
  kept: readonly unknown[];
}) {
  const build = building && { ...building, lag: undefined, startLag: undefined };
  return JSON.stringify([shown, build, kept]);
}

/** How the comparison of the current attempt stands. */
function comparisonOf({ platform, page, existing }: At, building: Building): Comparison {
  const { delivery, version } = building;
  const job = compareJob(platform, page, { delivery, version }, attemptOf(building));
  const state = jobState(existing.find(refOf(job)));
  const words = lastWords(job.metadata.name, existing.pods);
  switch (state.state) {
    case 'absent':
      return { state: 'none' };
    case 'running':
      return { state: 'running' };
    case 'failed':
      return { state: 'failed', because: words ?? state.because };
    case 'complete': {
      const verdict = readVerdict(words);
      return verdict
        ? { state: 'ended', verdict }
        : { state: 'failed', because: `its job left no verdict but ${words ? `"${words}"` : 'nothing'}` };
    }
  }
}

/** A verdict that cannot be read is none: nothing is switched to on a guess. */
export function readVerdict(words: string | null): Verdict | null {
  try {
    const { sellers, differing, examples, caughtUp } = JSON.parse(words ?? '') as Partial<Verdict>;
    if (!Number.isInteger(sellers) || !Number.isInteger(differing) || typeof caughtUp !== 'boolean')
      return null;
    return {
      sellers: sellers!,
      differing: differing!,
      caughtUp,
      examples: Array.isArray(examples) ? examples : [],
    };
  } catch {
    return null;
  }
}

/** What is left of a view: its projectors to the last pod, and any job that removes its rows, of any image. */
function remainsOf({ platform, page, existing }: At, view: ViewId): Remains {
  const instance = projectorInstance(page, view);
  const isOf = (component: string) => (object: StoredObject) =>
    componentOf(object) === component && labelOf(object, 'instance') === instance;
  const deployment = existing.find({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    name: names.projector(page, view),
  });
  const current = dropJob(platform, page, view).metadata.name;
  const jobs = existing
    .all()
    .filter(({ kind }) => kind === 'Job')
    .filter(isOf('drop-view'));
  const job = jobs.find(({ metadata }) => metadata.name === current);
  const state = jobState(job).state;
  return {
    projector: deployment !== undefined || existing.pods.some(isOf('projector')),
    drop:
      jobs.length === 0 ? 'none' : state === 'complete' ? 'done' : state === 'failed' ? 'failed' : 'running',
  };
}

/** Whether every pod that may still answer for the page reads what is shown, and none of another kind will come. */
function serversShow({ page, existing }: At, shown: Shown): boolean {
  const name = names.page(page);
  const deployment = existing.find({ apiVersion: 'apps/v1', kind: 'Deployment', name });
  if (!deployment) return false;
  const { status, metadata, spec } = deployment;
  const seen = (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0);
  const renewed = (status?.updatedReplicas ?? 0) === (status?.replicas ?? 0);
  const pods = existing.pods.filter(
    (pod) => componentOf(pod) === 'page-server' && labelOf(pod, 'instance') === page,
  );
  return (
    seen &&
    renewed &&
    [spec?.template?.spec, ...pods.map((pod) => pod.spec)].every((one) => reads(one, shown))
  );
}

function reads(
  pod: { containers?: { env?: { name: string; value?: string }[] }[] } | undefined,
  shown: Shown,
) {
  const env = pod?.containers?.flatMap((container) => container.env ?? []) ?? [];
  const value = (name: string) => env.find((one) => one.name === name)?.value;
  const delivery = value('TC_DELIVERY');
  if (delivery !== 'asynchronous' && delivery !== 'hybrid') return delivery === shown.delivery;
  return same({ delivery, version: Number(value('TC_VIEW_VERSION')) }, shown);
}

/** What the scale subresource shows: the projectors of the view that is shown. */
function replicasOf({ page, existing }: At, shown: Shown): Pick<PageViewStatus, 'replicas' | 'selector'> {
  if (!isView(shown)) return { replicas: 0 };
  const live = existing.find({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    name: names.projector(page, shown),
  });
  const labels = {
    'app.kubernetes.io/component': 'projector',
    'app.kubernetes.io/instance': projectorInstance(page, shown),
    'app.kubernetes.io/name': 'top-clients',
  };
  return {
    replicas: live?.status?.replicas ?? 0,
    selector: Object.entries(labels)
      .map(([name, value]) => `${name}=${value}`)
      .join(','),
  };
}

function available(servers: Pods | undefined, projectors: Pods | undefined, shown: Shown): Said {
  if (!servers?.available) {
    return no('NotAvailable', `${servers?.ready ?? 0} of ${servers?.wanted ?? 0} servers are available`);
  }
  if (isView(shown) && !projectors?.available) {
    return no('NotProjected', 'the page is served, but no projector keeps its data up');
  }
  return yes('Available', `${servers.ready} of ${servers.wanted} servers are available`);
}

interface Scaling {
  readonly said: Said;
  readonly scaleTo: number | null;
  readonly history: readonly Recommendation[];
}

/** Who decides how many projectors there are, and how many they are to be where that is us. */
function scale(
  { lag, existing, name, now }: PageSight,
  spec: PageViewSpec,
  platform: Platform,
  { projected, shown }: PagePlan,
  history: readonly Recommendation[],
): Scaling {
  const { autoscaling, projector, replicas } = spec;
  const leave = (said: Said): Scaling => ({ said, scaleTo: null, history: [] });
  if (projected.length === 0) {
    return leave(no('NothingProjected', `delivery ${spec.delivery} has no projectors`));
  }
  if (autoscaling.mode === 'none') {
    return leave(no('Off', `autoscaling.mode is none; spec.replicas decides, which is ${replicas}`));
  }
  if (scalesByKeda(platform, spec)) {
    if (!platform.capabilities.keda) {
      const remedy = 'install KEDA, or set autoscaling.mode to auto or builtin';
      return leave(no('KedaMissing', lacking(['keda.sh/v1alpha1'], remedy)));
    }
    const [view] = projected;
    const scaled = existing.find({ ...SCALED_OBJECT, name: names.projector(name, view!) });
    return leave(kedaSays(scaled));
  }
  const limits = {
    maxReplicas: autoscaling.maxReplicas,
    partitions: partitionsOf(platform),
    maxDatabaseConnections: projector.maxDatabaseConnections,
  };
  // A view that is being built shares the number with the one that is shown: whichever is further behind counts.
  const known = worse(isView(shown) ? lag.shown : lag.building, lag.building);
  if (typeof known !== 'number') {
    const because = known?.unknown ?? 'nobody was asked yet';
    return {
      said: no('LagUnknown', `how far the view is behind is not known: ${because}`),
      scaleTo: null,
      history,
    };
  }
  const decided = decideReplicas({
    ...limits,
    now,
    lag: known,
    current: replicas,
    lagThreshold: autoscaling.lagThreshold,
    minReplicas: autoscaling.minReplicas,
    scaleDownStabilizationMs: autoscaling.scaleDownStabilizationSeconds * 1_000,
    history,
  });
  const most = mostProjectors(limits);
  const why = autoscaling.mode === 'auto' ? 'KEDA is not here' : 'autoscaling.mode is builtin';
  return {
    said: yes(
      'BuiltIn',
      `the operator scales between ${Math.min(autoscaling.minReplicas, most.replicas)} and ${most.replicas} ` +
        `projectors (${most.because}), for ${why}`,
    ),
    scaleTo: decided.replicas === replicas ? null : decided.replicas,
    history: decided.history,
  };
}

const worse = (a: Lag | null, b: Lag | null): Lag | null =>
  typeof a === 'number' && typeof b === 'number' ? Math.max(a, b) : a;

/** What KEDA says of its object. */
function kedaSays(scaled: StoredObject | undefined): Said {
  if (!scaled) return no('KedaNotReady', 'KEDA has not been told yet');
  const conditions = (scaled.status?.conditions ?? []) as {
    type: string;
    status: string;
    reason?: string;
    message?: string;
  }[];
  const find = (type: string) => conditions.find((one) => one.type === type);
  const ready = find('Ready');
  const words = ready?.message ?? ready?.reason ?? 'it has not said anything yet';
  if (find('Paused')?.status === 'True') return no('KedaPaused', 'KEDA was told to pause this ScaledObject');
  if (ready?.status !== 'True') return no('KedaNotReady', `KEDA cannot scale: ${words}`);
  if (find('Fallback')?.status === 'True')
    return no('KedaFallback', 'KEDA cannot read the lag, and keeps its fallback');
  return yes('Keda', 'KEDA scales by the lag of the consumer group');
}
