import type { TopClientsStatus } from '#cdk8s/api/page-view.ts';
import type { TopClientsSpec } from '#cdk8s/api/top-clients.ts';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import { type PlatformObjects, platformObjects } from '#cdk8s/manifests.ts';
import { names, type Platform } from '#cdk8s/platform.ts';
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
import { kindKey, refOf } from '../../runtime/objects.ts';
import type { ObservedPlatform } from '../gather.ts';
import { jobState, type Migrations, migrationsOf, retryAt, terminationMessage } from '../jobs/jobs.ts';
import { heldTopic, planPartitions } from '../partitions/partitions.ts';
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
import { type Services, serviceScaling } from '../scaling/plan-services.ts';
import { overlapTroubles } from '../status/overlap.ts';
import { becauseOf, type PodCauses, podCauses } from '../status/pod-causes.ts';
import { unknownToPlatform } from '../status/read-spec.ts';
import { type Pods, rollingOut, storeNotReady, stuck, workloadsOf } from '../status/readiness.ts';
import { asMade, backupsScheduled } from './backups.ts';
import { connectionsFit } from './connections.ts';
import { divisionTroubles, storesApart, writesDurable } from './database-servers.ts';
import { definitionsCondition } from './definitions.ts';
import { isRotating, ROTATING_MS } from './secrets.ts';
import { planUnshown } from './unshown-views.ts';

type Group = keyof PlatformObjects;

/** What the facts are tested against. */
interface Situation {
  readonly observed: ObservedPlatform;
  readonly groups: PlatformObjects;
  readonly migrations: Migrations;
  readonly workloads: readonly Pods[];
  readonly seeding: Seeding;
}
type Seeding =
  | { readonly state: 'none' | 'running' | 'complete' }
  | { readonly state: 'failed'; readonly because: string };

/** Says which of the Kafka and PostgreSQL objects that we must wait for is not ready. The page's plan asks as well. */
export function storesNotReady(stores: readonly KubeObject[], snapshot: ClusterSnapshot): string | null {
  const missing = stores.filter((store) => !snapshot.serves(store));
  if (missing.length > 0) {
    const kinds = [...new Set(missing.map(kindKey))];
    return lacking(kinds, 'install the operator that brings them, or set kafka.mode and postgres.mode');
  }
  for (const store of stores) {
    const because = storeNotReady(store, snapshot.find(refOf(store)));
    if (because !== null) return because;
  }
  return null;
}

const FACTS: readonly Fact<Situation, Group>[] = [
  {
    name: 'StoreApiMissing',
    upTo: 'ground',
    alarming: true,
    because: ({ observed, groups }) =>
      groups.stores.every((store) => observed.snapshot.serves(store))
        ? null
        : storesNotReady(groups.stores, observed.snapshot),
  },
  {
    name: 'SecretMissing',
    upTo: 'ground',
    alarming: true,
    because: ({ observed }) => observed.secretsLack.join('; ') || null,
  },
  {
    // After the migrations, a store that restarts must not hold back changes of its users.
    name: 'StoresNotReady',
    upTo: 'stores',
    because: ({ observed, groups, migrations }) =>
      migrations.complete ? null : storesNotReady(groups.stores, observed.snapshot),
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
  {
    name: 'RollingOut',
    upTo: 'seeding',
    because: ({ workloads }) => rollingOut(workloads),
  },
  {
    name: 'SeedingFailed',
    upTo: 'seeding',
    alarming: true,
    because: ({ seeding }) => (seeding.state === 'failed' ? `the demo's data: ${seeding.because}` : null),
  },
  {
    name: 'Seeding',
    upTo: 'seeding',
    because: ({ seeding }) => (seeding.state === 'running' ? "the demo's data is being made" : null),
  },
];

/** What the platform is planned from, once all of it can be read. */
interface Inputs {
  readonly object: StoredObject;
  readonly platform: Platform;
}

/** Decides everything about the platform; null when there is none, or when it is being deleted. */
export function planPlatform(observed: ObservedPlatform): Plan | null {
  const { object, snapshot } = observed;
  if (!object || !observed.platform || object.metadata.deletionTimestamp) return null;
  if ('invalid' in observed.platform) {
    return leaveAsItIs(object, conditionsIn(object), {
      reason: 'InvalidSpec',
      message: `this operator cannot use ${observed.platform.invalid}. What runs is left as it is`,
    });
  }
  const platform = observed.platform.read;
  const inputs: Inputs = { object, platform };
  const objects = objectsOf(observed, inputs);
  const { partitions, unshown } = objects;
  const retried = [...retriedMigrations(observed, objects), ...partitions.retried];
  const retriedNames = new Set(retried.map(({ metadata }) => metadata.name));
  const status = statusOf(inputs, objects);
  return {
    secrets: observed.secretsMissing,
    rotated: observed.secretsToRotate,
    secretOwners: observed.secretOwners,
    storesStay: platform.spec.deletionPolicy === 'Retain',
    ensure: objects.served.filter(({ metadata }) => !retriedNames.has(metadata.name)),
    remove: [
      ...retried.map(removal),
      // Objects that the new version does not need are removed only after the new version runs.
      ...(objects.open ? toPrune(object, objects.desired, snapshot, { jobsToo: true }) : []),
    ],
    scaleTo: null,
    status,
    // Once servers are there, they alone would have to tell.
    decided: status.databaseServers !== (object.status as TopClientsStatus | undefined)?.databaseServers,
    observedGeneration: object.metadata.generation ?? 0,
    conditions: conditionsOf(observed, inputs, objects),
    troubles: troublesOf(observed, inputs, objects),
    events: [...partitions.events, ...unshown.events, ...secretEvents(observed)],
    requeueAfterMs: [
      requeueAfterMs(observed, objects),
      partitions.requeueAfterMs,
      unshown.requeueAfterMs,
      objects.causes.lookAgainInMs,
      isRotating(platform, object) ? ROTATING_MS : null,
    ].reduce(sooner),
  };
}

const sooner = (a: number | null, b: number | null): number | null =>
  a === null || b === null ? (a ?? b) : Math.min(a, b);

const servicesOf = ({ source, selfView }: TopClientsSpec): Services => ({
  [names.source]: source,
  ...(selfView.enabled ? { [names.page('self-view')]: selfView } : {}),
});

/** The objects of the platform, and how far they may be applied now. */
interface Objects extends Progress {
  readonly groups: PlatformObjects;
  readonly desired: readonly KubeObject[];
  /** Those to apply now whose kinds the cluster serves, and the kinds that it lacks. */
  readonly served: readonly KubeObject[];
  readonly missing: readonly string[];
  readonly partitions: ReturnType<typeof planPartitions>;
  readonly unshown: ReturnType<typeof planUnshown>;
  readonly causes: PodCauses;
}

function objectsOf(observed: ObservedPlatform, { object, platform }: Inputs): Objects {
  const { snapshot, now } = observed;
  const built = platformObjects(platform);
  const topic = {
    ...{ now, object, platform, snapshot, layout: observed.layout },
    relaysRolledOut: relaysRolledOut(built, snapshot),
  };
  const [seed] = built.seeding;
  const seeded = seed && seededBefore(seed, snapshot);
  const groups: PlatformObjects = {
    ...built,
    stores: built.stores.map((store) => asMade(heldTopic(store, topic), snapshot)),
    ...(seeded ? { seeding: [] } : {}),
  };
  const progress = progressOf(observed, groups);
  const partitions = planPartitions(topic);
  const unshown = planUnshown(platform, object, observed.unshown, snapshot);
  const jobs = [...partitions.jobs, ...unshown.jobs];
  const { stores, migrations, workloads, seeding } = groups;
  const applied = served(
    [...groupsUpTo(groups, progress.fact?.upTo ?? null), ...(progress.open ? jobs : [])],
    snapshot,
  );
  return {
    ...progress,
    ...{ groups, partitions, unshown },
    // The job that proves that seeding is done is kept.
    desired: [...Object.values(groups).flat(), ...jobs, ...(seeded ? [seeded] : [])],
    served: applied.objects,
    missing: applied.missing,
    causes: podCauses(
      [...stores, ...migrations, ...workloads, ...seeding, ...partitions.jobs],
      snapshot,
      now,
    ),
  };
}

function relaysRolledOut({ workloads, migrations }: PlatformObjects, snapshot: ClusterSnapshot): boolean {
  const relays = workloadsOf(workloads, snapshot).find(({ name }) => name === names.relay);
  return relays?.rolledOut === true && migrationsOf(migrations, snapshot).complete;
}

/** How far the platform has come. */
interface Progress {
  readonly migrations: Migrations;
  readonly workloads: readonly Pods[];
  readonly fact: ReturnType<typeof firstFact<Situation, Group>>;
  /** The condition that already tells of a failed migration. */
  readonly degradedBefore: Condition | undefined;
  /** Whether nothing keeps the last group back. */
  readonly open: boolean;
}

function progressOf(observed: ObservedPlatform, groups: PlatformObjects): Progress {
  const { snapshot } = observed;
  const migrations = migrationsOf(groups.migrations, snapshot);
  const workloads = workloadsOf([...groups.stores, ...groups.workloads], snapshot);
  const seeding = seedingOf(groups.seeding[0], snapshot);
  const fact = firstFact(FACTS, { observed, groups, migrations, workloads, seeding });
  const degradedBefore = conditionsIn(observed.object!).find(
    ({ type, status, reason }) => type === 'Degraded' && status === 'True' && reason === 'MigrationFailed',
  );
  const open = fact === null || fact.upTo === 'seeding';
  return { migrations, workloads, fact, degradedBefore, open };
}

const retriedMigrations = (
  { now }: ObservedPlatform,
  { migrations, degradedBefore }: Progress,
): readonly StoredObject[] =>
  migrations.failed.filter(({ at }) => now >= retryAt(at, degradedBefore)).map(({ job }) => job);

function troublesOf(
  observed: ObservedPlatform,
  { platform }: Inputs,
  { fact, degradedBefore, migrations, partitions, causes, missing, open, workloads }: Objects,
): Trouble[] {
  return [
    ...(fact?.alarming ? [{ reason: fact.name, message: fact.message }] : []),
    // The trouble remains while a migration is retried.
    ...(!fact?.alarming && degradedBefore && !migrations.complete
      ? [{ reason: 'MigrationFailed', message: degradedBefore.message }]
      : []),
    ...partitions.troubles,
    ...causes.troubles,
    ...(missing.length > 0 && open
      ? [
          {
            reason: 'ApiMissing',
            message: lacking(missing, 'install what brings them, or turn off what needs them'),
          },
        ]
      : []),
    ...stuck(workloads),
    ...divisionTroubles(platform),
    ...overlapTroubles(observed.operators),
  ];
}

function statusOf(
  { object, platform }: Inputs,
  { fact, workloads, partitions, unshown }: Objects,
): Omit<TopClientsStatus, 'conditions'> {
  const ready = workloads.filter(({ available }) => available).length;
  const { databaseServers } = platform;
  return {
    observedGeneration: object.metadata.generation ?? 0,
    ready: `${ready}/${workloads.length}`,
    ...imageShown(fact?.upTo ?? null, platform.image, object),
    ...(databaseServers === undefined ? {} : { databaseServers }),
    ...partitions.status,
    ...unshown.status,
  };
}

function conditionsOf(
  observed: ObservedPlatform,
  { object, platform }: Inputs,
  objects: Objects,
): Plan['conditions'] {
  const { snapshot } = observed;
  const { fact, groups } = objects;
  return {
    Ready: available(objects, snapshot),
    Progressing: fact ? yes(fact.name, fact.message) : no('Settled', 'everything is as the spec wants it'),
    PartitionsSettled: objects.partitions.condition,
    DefinitionsCurrent: definitionsCondition(observed.definitions, unknownToPlatform(object.spec)),
    AutoscalingReady: serviceScaling(servicesOf(platform.spec), groups.workloads, snapshot, platform),
    StoresApart: storesApart(platform),
    WritesDurable: writesDurable(platform, snapshot),
    ConnectionsFit: connectionsFit(platform, observed.pages),
    BackupsScheduled: backupsScheduled(platform, snapshot),
  };
}

function available({ groups, workloads, causes }: Objects, snapshot: ClusterSnapshot): ConditionValue {
  const storeTrouble = storesNotReady(groups.stores, snapshot);
  const notAvailable = workloads.filter((one) => !one.available).map(({ name }) => name);
  if (notAvailable.length === 0 && storeTrouble === null)
    return yes('Available', `all ${workloads.length} workloads are available`);
  const stores = groups.stores.map(({ metadata }) => metadata.name);
  return (
    becauseOf(causes, ...stores, ...notAvailable) ??
    no('NotAvailable', storeTrouble ?? `not available: ${notAvailable.join(', ')}`)
  );
}

const secretEvents = ({ secretsLost, secretsToRotate }: ObservedPlatform): Plan['events'] => [
  ...secretsLost.map((name) => ({
    type: 'Warning' as const,
    reason: 'SecretLost',
    message: `the secret ${name} was gone, though what its password opens is there: another one was made, and the databases take it`,
  })),
  ...secretsToRotate.map(({ secret: { name } }) => ({
    type: 'Normal' as const,
    reason: 'SecretRotated',
    message: `the secret ${name} was made anew; what holds something of it starts anew, and is served meanwhile`,
  })),
];

/** The status shows the image that the workloads were told to run, so the old one stays during a migration. */
function imageShown(upTo: Group | null, image: string, object: StoredObject): { image?: string } {
  if (upTo === null || upTo === 'seeding') return { image };
  const before = object.status?.image as string | undefined;
  return before ? { image: before } : {};
}

/** A complete job that already made as many sellers, maybe with another image: they are not made again. */
function seededBefore(wanted: KubeObject, snapshot: ClusterSnapshot): StoredObject | undefined {
  return snapshot
    .all()
    .find(
      (object) =>
        object.kind === 'Job' &&
        object.metadata.labels?.['app.kubernetes.io/component'] === 'seed' &&
        jobState(object).state === 'complete' &&
        sellersOf(object) === sellersOf(wanted),
    );
}

const sellersOf = (job: KubeObject): string | undefined => {
  const { template } = job['spec'] as {
    template: { spec: { containers: { env?: { name: string; value?: string }[] }[] } };
  };
  return template.spec.containers[0]?.env?.find(({ name }) => name === 'TC_SELLERS')?.value;
};

function seedingOf(wanted: KubeObject | undefined, snapshot: ClusterSnapshot): Seeding {
  if (!wanted) return { state: 'none' };
  const state = jobState(snapshot.find(refOf(wanted)));
  switch (state.state) {
    case 'absent':
    case 'running':
      return { state: 'running' };
    case 'complete':
      return { state: 'complete' };
    case 'failed':
      return {
        state: 'failed',
        because: terminationMessage(wanted.metadata.name, snapshot.pods) ?? state.because,
      };
  }
}

/** Watches report changes of our own objects; this covers what no watch reports. */
function requeueAfterMs(
  { now }: ObservedPlatform,
  { migrations, degradedBefore, fact }: Progress,
): number | null {
  const retries = migrations.failed.map(({ at }) => Math.max(1_000, retryAt(at, degradedBefore) - now));
  const waits = [...retries, ...(fact === null ? [] : [15_000])];
  return waits.length > 0 ? Math.min(...waits) : null;
}
