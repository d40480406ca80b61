import {
  misnamed,
  type PageViewSpec,
  type PageViewStatus,
  serverOf,
  tooFewServers,
  type ViewId,
} from '#cdk8s/api/page-view.ts';
import { projectorInstance } from '#cdk8s/constructs/projector.ts';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import { compareJob, dropJob, type PageObjects, pageObjects, platformObjects } from '#cdk8s/manifests.ts';
import {
  isView,
  names,
  type PageOf,
  type PagePlan,
  type Platform,
  type ShownView,
  wantedView,
} from '#cdk8s/platform.ts';
import type { ViewPage } from '#contracts/pages.ts';
import type { ClusterSnapshot } from '../../runtime/cluster-snapshot.ts';
import {
  type Condition,
  type ConditionValue,
  conditionsIn,
  no,
  type Trouble,
  yes,
} from '../../runtime/conditions.ts';
import type { StoredObject } from '../../runtime/kube.ts';
import { refOf } from '../../runtime/objects.ts';
import type { ObservedPage } from '../gather.ts';
import { jobState, type Migrations, migrationsOf, retryAt, terminationMessage } from '../jobs/jobs.ts';
import {
  type Fact,
  firstFact,
  groupsUpTo,
  lacking,
  leaveAsItIs,
  type Plan,
  removal,
  served,
  toPrune,
} from '../plan.ts';
import { storesNotReady } from '../platform/plan-platform.ts';
import { isRotating, ROTATING_MS } from '../platform/secrets.ts';
import { planScaling, planServerScaling } from '../scaling/plan-scaling.ts';
import type { Recommendation } from '../scaling/scaler.ts';
import { becauseOf, type PodCauses, podCauses } from '../status/pod-causes.ts';
import { readPageSpec, statusOf } from '../status/read-spec.ts';
import { type Pods, rollingOut, stuck, workloadsOf } from '../status/readiness.ts';
import { comparisonOf, componentOf, pageShows, remainsOf } from '../view-switch/observe-view.ts';
import {
  type Building,
  decideView,
  type ViewDecision,
  type ViewMemory,
  viewColumn,
} from '../view-switch/view-switch.ts';
import { planDeletion } from './plan-deletion.ts';

type Group = keyof PageObjects;

interface Situation {
  readonly migrations: Migrations;
  readonly workloads: readonly Pods[];
  /** Why the platform's stores cannot be used. */
  readonly stores: string | null;
  /** What is wrong with the secrets of the page's own database. */
  readonly secretsLack: readonly string[];
}

const FACTS: readonly Fact<Situation, Group>[] = [
  {
    name: 'SecretMissing',
    upTo: 'ground',
    alarming: true,
    because: ({ secretsLack }) => secretsLack.join('; ') || null,
  },
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
      migrations.complete ? null : `waiting for ${migrations.pending.join('; ')}`,
  },
  { name: 'RollingOut', upTo: 'workloads', because: ({ workloads }) => rollingOut(workloads) },
];

/** A plan, and what the built-in scaler has recommended so far; the next call takes it as `history`. */
export interface PagePlanned {
  readonly plan: Plan;
  readonly history: readonly Recommendation[];
  /** The view that the page shows; null where it shows none, or is being deleted. */
  readonly shown: ViewId | null;
}

/** What a page is planned from, once all of it can be read. */
interface Inputs {
  readonly spec: PageViewSpec;
  readonly memory: ViewMemory;
  readonly platform: Platform;
}

/**
 * Decides everything about one page; null when the page is being deleted and nothing is left to do.
 * @param history what the scaler recommended before
 */
export function planPage(observed: ObservedPage, history: readonly Recommendation[]): PagePlanned | null {
  const { page, snapshot } = observed;
  const inputs = inputsOf(observed);
  if (page.metadata.deletionTimestamp) {
    const usable =
      'reason' in inputs ? null : { platform: inputs.platform, page: pageOf(observed, inputs.spec) };
    const plan = planDeletion(observed, usable);
    return plan && { plan, history: [], shown: null };
  }
  if ('reason' in inputs)
    return { plan: leaveAsItIs(page, conditionsIn(page), inputs), history, shown: null };

  const { spec, memory, platform } = inputs;
  const decision = decideViewOf(observed, inputs);
  const { shown } = decision.memory;
  const running: PagePlan = {
    ...pageOf(observed, spec),
    spec,
    projected: decision.projected,
    keptUp: decision.keptUp,
    shown,
  };
  const objects = objectsOf(observed, platform, running, decision);
  const jobs = failedJobsOf(observed, objects);
  const scaling = planScaling(observed, spec, platform, running, objects.desired, history);
  const retriedNames = new Set(jobs.retried.map(({ metadata }) => metadata.name));
  return {
    history: scaling.history,
    shown: isView(shown) ? shown : null,
    plan: {
      secrets: [],
      rotated: [],
      secretOwners: [],
      // A page has no stores of its own.
      storesStay: true,
      finalizer: spec.deletionPolicy === 'Delete',
      ensure: [
        ...(observed.external?.caller ? [observed.external.caller] : []),
        ...objects.served.filter(({ metadata }) => !retriedNames.has(metadata.name)),
      ],
      remove: [
        ...jobs.retried.map(removal),
        ...(objects.open ? toPrune(page, objects.desired, snapshot, { jobsToo: true }) : []),
      ],
      scaleTo: scaling.scaleTo,
      scaledByUs: scaling.scaledByUs,
      status: statusFields(observed, inputs, decision, objects.workloads),
      decided: remembered(decision.memory) !== remembered(memory),
      observedGeneration: page.metadata.generation ?? 0,
      conditions: {
        Ready: available(running, objects, observed.notReadyBecause),
        Progressing: progressing(objects.fact, decision),
        AutoscalingReady: scaling.condition,
        ...planServerScaling(observed, spec, platform, objects.desired),
        ViewCurrent: decision.current,
      },
      troubles: troublesOf(inputs, objects, jobs),
      events: decision.events,
      requeueAfterMs: soonest([
        decision.requeueAfterMs,
        // No watch reports lag, so it is asked for regularly.
        decision.projected.length > 0 ? spec.autoscaling.pollingSeconds * 1_000 : null,
        objects.fact ? 15_000 : null,
        objects.causes.lookAgainInMs,
        observed.object && isRotating(platform, observed.object) ? ROTATING_MS : null,
        ...jobs.retriesInMs,
      ]),
    },
  };
}

const soonest = (waits: readonly (number | null)[]): number | null => {
  const known = waits.filter((ms) => ms !== null);
  return known.length > 0 ? Math.min(...known) : null;
};

/** The page as its objects are built from it. */
const pageOf = ({ name, external }: ObservedPage, spec: PageViewSpec): PageOf & { spec: PageViewSpec } => ({
  name,
  spec,
  ...(external?.revision ? { secretsRevision: external.revision } : {}),
});

/** @returns the trouble when something cannot be read */
function inputsOf({ page, name, memory, platform }: ObservedPage): Inputs | Trouble {
  const spec = readPageSpec(page.spec);
  const misnaming = 'invalid' in spec ? null : misnamed(name, spec.read);
  if ('invalid' in spec || misnaming !== null) {
    const invalid = 'invalid' in spec ? spec.invalid : `metadata.name: ${misnaming}`;
    const message = `this operator cannot use ${invalid}. What runs is left as it is`;
    return { reason: 'InvalidSpec', message };
  }
  if ('invalid' in memory) {
    const message = `this operator cannot use ${memory.invalid}. What runs is left as it is`;
    return { reason: 'InvalidStatus', message };
  }
  if (!platform) {
    const message = 'there is no TopClients in this namespace; create one named top-clients';
    return { reason: 'PlatformMissing', message, notReady: true };
  }
  if ('invalid' in platform) {
    const message = `the TopClients of this namespace cannot be used: ${platform.invalid}`;
    return { reason: 'PlatformInvalid', message };
  }
  return { spec: spec.read, memory: memory.read, platform: platform.read };
}

function decideViewOf(observed: ObservedPage, { spec, memory, platform }: Inputs): ViewDecision {
  const { page, snapshot, now, lag } = observed;
  const at = { platform, page: pageOf(observed, spec), snapshot };
  const wanted = wantedView(spec) ?? { delivery: spec.delivery as 'synchronous' | 'off' };
  return decideView({
    now,
    wanted,
    keepMs: spec.view.keepSeconds * 1_000,
    memory,
    lag: lag.building ?? { unknown: 'its projectors do not run yet' },
    comparison: memory.building ? comparisonOf(at, memory.building) : { state: 'none' },
    remainsOf: (view) => remainsOf(at, view, memory.shown ?? wanted),
    isShown: memory.shown !== null && pageShows(at, memory.shown),
    said: conditionsIn(page).find(({ type }) => type === 'ViewCurrent') ?? null,
  });
}

/** The objects of a page, and how far they may be applied now. */
interface Objects {
  readonly desired: readonly KubeObject[];
  /** Those to apply now whose kinds the cluster serves, and the kinds that it lacks. */
  readonly served: readonly KubeObject[];
  readonly missing: readonly string[];
  readonly viewJobs: readonly KubeObject[];
  readonly migrations: Migrations;
  readonly workloads: readonly Pods[];
  readonly fact: ReturnType<typeof firstFact<Situation, Group>>;
  /** Whether nothing keeps the last group back. */
  readonly open: boolean;
  readonly causes: PodCauses;
}

function objectsOf(
  { snapshot, external, now: at }: ObservedPage,
  platform: Platform,
  running: PagePlan,
  { memory, compare, drop }: ViewDecision,
): Objects {
  const groups = pageObjects(platform, running);
  const viewJobs = [
    ...(compare ? [compareJob(platform, running, compare.view, compare.attempt)] : []),
    ...drop.map((view) => dropJob(platform, running, view, memory.shown)),
  ];
  const migrations = migrationsOf(groups.migrations, snapshot);
  const workloads = workloadsOf(groups.workloads, snapshot);
  const fact = firstFact(FACTS, {
    migrations,
    workloads,
    stores: storesNotReady(platformObjects(platform).stores, snapshot),
    secretsLack: external?.lack ?? [],
  });
  const open = fact === null || fact.upTo === 'workloads';
  const now = served([...groupsUpTo(groups, fact?.upTo ?? null), ...(open ? viewJobs : [])], snapshot);
  return {
    desired: [...Object.values(groups).flat(), ...viewJobs],
    served: now.objects,
    missing: now.missing,
    viewJobs,
    migrations,
    workloads,
    fact,
    open,
    causes: podCauses([...groups.migrations, ...groups.workloads, ...viewJobs], snapshot, at),
  };
}

/** Jobs that failed, and which of them are retried now. */
interface FailedJobs {
  readonly degradedBefore: Condition | undefined;
  readonly drops: readonly { readonly because: string }[];
  readonly retried: readonly StoredObject[];
  readonly retriesInMs: readonly number[];
}

function failedJobsOf({ page, snapshot, now }: ObservedPage, { migrations, viewJobs }: Objects): FailedJobs {
  const degradedBefore = conditionsIn(page).find(
    ({ type, status, reason }) => type === 'Degraded' && status === 'True' && reason === 'MigrationFailed',
  );
  const drops = viewJobs.flatMap((job) => {
    const live = snapshot.find(refOf(job));
    const state = jobState(live);
    if (!live || state.state !== 'failed' || componentOf(live) !== 'drop-view') return [];
    const because = terminationMessage(job.metadata.name, snapshot.pods) ?? state.because;
    return [{ job: live, because, retryAt: retryAt(state.at, undefined) }];
  });
  const failed = [
    ...migrations.failed.map(({ job, at }) => ({ job, retryAt: retryAt(at, degradedBefore) })),
    ...drops,
  ];
  return {
    degradedBefore,
    drops,
    retried: failed.filter((one) => now >= one.retryAt).map(({ job }) => job),
    retriesInMs: failed.map((one) => Math.max(1_000, one.retryAt - now)),
  };
}

function troublesOf(
  { spec, platform }: Inputs,
  { fact, migrations, missing, workloads, causes }: Objects,
  { degradedBefore, drops }: FailedJobs,
): Trouble[] {
  // The condition AutoscalingReady already says that KEDA is missing.
  const withoutKeda = spec.autoscaling.mode === 'keda' && !platform.capabilities.keda;
  const lacks = missing.filter((kind) => !(withoutKeda && kind.includes('keda.sh')));
  const few = tooFewServers(spec, platform.spec.profile);
  return [
    ...(fact?.alarming ? [{ reason: fact.name, message: fact.message }] : []),
    ...(degradedBefore && !fact?.alarming && !migrations.complete
      ? [{ reason: 'MigrationFailed', message: degradedBefore.message }]
      : []),
    ...drops.map(({ because }) => ({
      reason: 'DropFailed',
      message: `the rows of a view that left could not be removed: ${because}; it is tried again`,
    })),
    ...causes.troubles,
    ...(lacks.length > 0
      ? [
          {
            reason: 'ApiMissing',
            message: lacking(lacks, 'install what brings them, or turn off what needs them'),
          },
        ]
      : []),
    ...stuck(workloads),
    ...(few ? [{ reason: 'TooFewServers', message: few }] : []),
  ];
}

function statusFields(
  { page, name, snapshot, lag }: ObservedPage,
  { spec }: Inputs,
  { memory }: ViewDecision,
  workloads: readonly Pods[],
): Omit<PageViewStatus, 'conditions'> {
  const server = serverOf(spec);
  const serving = server === null ? projectorsOf(name, memory.shown, workloads) : serversOf(name, workloads);
  return {
    observedGeneration: page.metadata.generation ?? 0,
    ready: `${serving?.ready ?? 0}/${serving?.wanted ?? server?.replicas ?? spec.replicas}`,
    ...replicasOf(name, snapshot, memory.shown),
    ...(typeof lag.shown === 'number' ? { lag: lag.shown } : {}),
    view: viewColumn(memory),
    ...statusOf(memory),
  };
}

const progressing = (fact: Objects['fact'], { memory, current }: ViewDecision): ConditionValue =>
  fact
    ? yes(fact.name, fact.message)
    : memory.building
      ? yes('BuildingView', current.message)
      : no('Settled', 'everything is as the spec wants it');

/** The part of the memory that must not be lost. The progress of a build is left out. */
function remembered({
  shown,
  building,
  kept,
}: {
  shown: ShownView | null;
  building: Building | null;
  kept: readonly unknown[];
}) {
  const build = building && { ...building, lag: undefined, startLag: undefined };
  return JSON.stringify([shown, build, kept]);
}

/** What the scale subresource shows: the projectors of the view that is shown. */
function replicasOf(
  page: ViewPage,
  snapshot: ClusterSnapshot,
  shown: ShownView,
): Pick<PageViewStatus, 'replicas' | 'selector'> {
  if (!isView(shown)) return { replicas: 0 };
  const live = snapshot.find({
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

const serversOf = (page: ViewPage, workloads: readonly Pods[]): Pods | undefined =>
  workloads.find(({ name }) => name === names.page(page));

const projectorsOf = (page: ViewPage, shown: ShownView, workloads: readonly Pods[]): Pods | undefined =>
  isView(shown) ? workloads.find(({ name }) => name === names.projector(page, shown)) : undefined;

function available(
  { name, spec, shown }: PagePlan,
  { workloads, causes }: Pick<Objects, 'workloads' | 'causes'>,
  notReadyBecause: string | null,
): ConditionValue {
  const servers = serversOf(name, workloads);
  const projectors = projectorsOf(name, shown, workloads);
  const isServed = spec.external === undefined;
  if (isServed && !servers?.available) {
    const few = `${servers?.ready ?? 0} of ${servers?.wanted ?? 0} servers are available`;
    return becauseOf(causes, names.page(name)) ?? no('NotAvailable', few);
  }
  if (isView(shown) && !projectors?.available) {
    const what = isServed ? 'the page is served' : 'what the page reads stays as it is';
    const why = notReadyBecause === null ? '' : `: ${notReadyBecause}`;
    return (
      becauseOf(causes, names.projector(name, shown)) ??
      no('NotProjected', `${what}, but no projector keeps its data up${why}`)
    );
  }
  const { ready, wanted } = (isServed ? servers : projectors)!;
  return yes('Available', `${ready} of ${wanted} ${isServed ? 'servers' : 'projectors'} are available`);
}
