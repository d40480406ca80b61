import type { TopClientsStatus } from '#cdk8s/api/page-view.ts';
import type { TopClientsSpec } from '#cdk8s/api/top-clients.ts';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import { type PlatformObjects, platformObjects } from '#cdk8s/manifests.ts';
import { names } from '#cdk8s/platform.ts';
import type { ClusterSnapshot } from '../../runtime/cluster-snapshot.ts';
import { conditionsIn, no, type Trouble, yes } from '../../runtime/conditions.ts';
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
import { becauseOf, podCauses } from '../status/pod-causes.ts';
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

/** Decides everything about the platform; null when there is none, or when it is being deleted. */
export function planPlatform(observed: ObservedPlatform): Plan | null {
  const { object, platform, snapshot, now } = observed;
  if (!object || !platform || object.metadata.deletionTimestamp) return null;
  const before = conditionsIn(object);
  if ('invalid' in platform) {
    return leaveAsItIs(object, before, {
      reason: 'InvalidSpec',
      message: `this operator cannot use ${platform.invalid}. What runs is left as it is`,
    });
  }
  const built = platformObjects(platform.read);
  const relays = workloadsOf(built.workloads, snapshot).find(({ name }) => name === names.relay);
  const relaysRolledOut = relays?.rolledOut === true && migrationsOf(built.migrations, snapshot).complete;
  const observedPartitions = {
    now,
    object,
    platform: platform.read,
    snapshot,
    layout: observed.layout,
    relaysRolledOut,
  };
  const [seed] = built.seeding;
  const seeded = seed && seededBefore(seed, snapshot);
  const groups = {
    ...built,
    stores: built.stores.map((store) => asMade(heldTopic(store, observedPartitions), snapshot)),
    ...(seeded ? { seeding: [] } : {}),
  };
  const { migrations, workloads, fact, failed, mode } = assess(observed, groups);

  const degradedBefore = before.find(({ type }) => type === 'Degraded');
  const retried = migrations.failed.filter(
    ({ at }) => now >= retryAt(at, failed ? degradedBefore : undefined),
  );
  const partitions = planPartitions(observedPartitions);
  const unshown = planUnshown(platform.read, object, observed.unshown, snapshot);
  const { stores, migrations: jobs, workloads: roles, seeding } = groups;
  const causes = podCauses([...stores, ...jobs, ...roles, ...seeding, ...partitions.jobs], snapshot, now);
  const again = [...retried.map(({ job }) => job), ...partitions.retried];
  const retriedNames = new Set(again.map(({ metadata }) => metadata.name));
  const applied = served(
    [
      ...groupsUpTo(groups, fact?.upTo ?? null),
      ...(mode === 'open' ? [...partitions.jobs, ...unshown.jobs] : []),
    ],
    snapshot,
  );
  // The job that proves that seeding is done is kept.
  const everything = [
    ...Object.values(groups).flat(),
    ...partitions.jobs,
    ...unshown.jobs,
    ...(seeded ? [seeded] : []),
  ] as KubeObject[];

  const troubles: Trouble[] = [
    ...(fact?.alarming ? [{ reason: fact.name, message: fact.message }] : []),
    // The trouble remains while a migration is retried.
    ...(!fact?.alarming && failed && !migrations.complete
      ? [
          {
            reason: 'MigrationFailed',
            message: degradedBefore?.message ?? 'a migration failed and is tried again',
          },
        ]
      : []),
    ...partitions.troubles,
    ...causes.troubles,
    ...(applied.missing.length > 0 && mode === 'open'
      ? [
          {
            reason: 'ApiMissing',
            message: lacking(applied.missing, 'install what brings them, or turn off what needs them'),
          },
        ]
      : []),
    ...stuck(workloads),
    ...divisionTroubles(platform.read),
    ...overlapTroubles(observed.operators),
  ];
  const ready = workloads.filter(({ available }) => available).length;
  const notAvailable = workloads.filter(({ available }) => !available).map(({ name }) => name);
  const { databaseServers } = platform.read;
  const status: Omit<TopClientsStatus, 'conditions'> = {
    observedGeneration: object.metadata.generation ?? 0,
    ready: `${ready}/${workloads.length}`,
    ...imageShown(fact?.upTo ?? null, platform.read.image, object),
    ...(databaseServers === undefined ? {} : { databaseServers }),
    ...partitions.status,
    ...unshown.status,
  };
  const storeTrouble = storesNotReady(groups.stores, snapshot);
  const notReadyStores = groups.stores.map(({ metadata }) => metadata.name);
  return {
    secrets: observed.secretsMissing,
    rotated: observed.secretsToRotate,
    secretOwners: observed.secretOwners,
    storesStay: platform.read.spec.deletionPolicy === 'Retain',
    ensure: applied.objects.filter(({ metadata }) => !retriedNames.has(metadata.name)),
    remove: [
      ...again.map(removal),
      // Objects that the new version does not need are removed only after the new version runs.
      ...(mode === 'open' ? toPrune(object, everything, snapshot, { jobsToo: true }) : []),
    ],
    scaleTo: null,
    status,
    // Once servers are there, they alone would have to tell.
    decided: databaseServers !== (object.status as TopClientsStatus | undefined)?.databaseServers,
    observedGeneration: object.metadata.generation ?? 0,
    conditions: {
      Ready:
        notAvailable.length === 0 && storeTrouble === null
          ? yes('Available', `all ${workloads.length} workloads are available`)
          : (becauseOf(causes, ...notReadyStores, ...notAvailable) ??
            no('NotAvailable', storeTrouble ?? `not available: ${notAvailable.join(', ')}`)),
      Progressing: fact ? yes(fact.name, fact.message) : no('Settled', 'everything is as the spec wants it'),
      PartitionsSettled: partitions.condition,
      DefinitionsCurrent: definitionsCondition(observed.definitions, unknownToPlatform(object.spec)),
      AutoscalingReady: serviceScaling(
        servicesOf(platform.read.spec),
        groups.workloads,
        snapshot,
        platform.read,
      ),
      StoresApart: storesApart(platform.read),
      WritesDurable: writesDurable(platform.read, snapshot),
      ConnectionsFit: connectionsFit(platform.read, observed.pages),
      BackupsScheduled: backupsScheduled(platform.read, snapshot),
    },
    troubles,
    events: [
      ...partitions.events,
      ...unshown.events,
      ...observed.secretsLost.map((name) => ({
        type: 'Warning' as const,
        reason: 'SecretLost',
        message: `the secret ${name} was gone, though what its password opens is there: another one was made, and the databases take it`,
      })),
      ...observed.secretsToRotate.map(({ secret: { name } }) => ({
        type: 'Normal' as const,
        reason: 'SecretRotated',
        message: `the secret ${name} was made anew; what holds something of it starts anew, and is served meanwhile`,
      })),
    ],
    requeueAfterMs: [
      requeueAfterMs(observed, migrations, fact !== null, failed),
      partitions.requeueAfterMs,
      unshown.requeueAfterMs,
      causes.lookAgainInMs,
      isRotating(platform.read, object) ? ROTATING_MS : null,
    ].reduce(sooner),
  };
}

const sooner = (a: number | null, b: number | null): number | null =>
  a === null || b === null ? (a ?? b) : Math.min(a, b);

const servicesOf = ({ source, selfView }: TopClientsSpec): Services => ({
  [names.source]: source,
  ...(selfView.enabled ? { [names.page('self-view')]: selfView } : {}),
});

/** How far the platform has come, and whether its last group may be applied. */
function assess(observed: ObservedPlatform, groups: PlatformObjects) {
  const { snapshot } = observed;
  const before = conditionsIn(observed.object!);
  const migrations = migrationsOf(groups.migrations, snapshot);
  const workloads = workloadsOf([...groups.stores, ...groups.workloads], snapshot);
  const seeding = seedingOf(groups.seeding[0], snapshot);
  const situation: Situation = { observed, groups, migrations, workloads, seeding };
  const fact = firstFact(FACTS, situation);
  const failed = before.some(
    ({ type, status, reason }) => type === 'Degraded' && status === 'True' && reason === 'MigrationFailed',
  );
  const mode = fact === null || fact.upTo === 'seeding' ? ('open' as const) : ('held back' as const);
  return { migrations, workloads, fact, failed, mode };
}

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
  { now, object }: ObservedPlatform,
  migrations: Migrations,
  moving: boolean,
  failed: boolean,
): number | null {
  const degradedBefore = failed ? conditionsIn(object!).find(({ type }) => type === 'Degraded') : undefined;
  const retries = migrations.failed.map(({ at }) => Math.max(1_000, retryAt(at, degradedBefore) - now));
  const waits = [...retries, ...(moving ? [15_000] : [])];
  return waits.length > 0 ? Math.min(...waits) : null;
}
