import type { Condition, TopClientsStatus } from '#cdk8s/api/page-view.ts';
import { REPUBLISH_ANNOTATION, RESTORED_ANNOTATION } from '#cdk8s/api/top-clients.ts';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import { growthJob, republishJob, restoredJob } from '#cdk8s/manifests.ts';
import type { Platform } from '#cdk8s/platform.ts';
import type { ClusterSnapshot } from '../../runtime/cluster-snapshot.ts';
import { type ConditionValue, no, type Trouble, timestamp, yes } from '../../runtime/conditions.ts';
import type { StoredObject } from '../../runtime/kube.ts';
import { refOf } from '../../runtime/objects.ts';
import { jobState, retryAt, terminationMessage } from '../jobs/jobs.ts';
import type { Plan } from '../plan.ts';
import type { Layout } from './layout.ts';

export interface ObservedPartitions {
  readonly now: number;
  readonly object: StoredObject;
  readonly platform: Platform;
  readonly snapshot: ClusterSnapshot;
  /** What the relays report; null while none does. */
  readonly layout: Layout | null;
  /** Every relay runs this version, and its migrations are complete: each relay then divides by the stored layout. */
  readonly relaysRolledOut: boolean;
}

export interface PartitionsPlan {
  /** Applied last, and kept while they are listed here. */
  readonly jobs: readonly KubeObject[];
  /** Failed jobs that must be retried. */
  readonly retried: readonly StoredObject[];
  /** Of the condition PartitionsSettled. */
  readonly condition: ConditionValue;
  readonly troubles: readonly Trouble[];
  readonly status: Pick<TopClientsStatus, 'partitions' | 'growth' | 'republish' | 'restored'>;
  readonly events: Plan['events'];
  readonly requeueAfterMs: number | null;
}

/** No watch reports progress, so it is asked for. */
const LOOK_EVERY_MS = 5_000;
const LONGEST_REQUEST = 200;

/**
 * Decides what is republished: the sellers who move because `kafka.partitions` was raised, and every seller when the
 * annotation asks for it; and whether a restored source must follow what it had published. The layout that relays read from the source's database is the truth. The jobs bring it to
 * what the spec wants, and store their own progress.
 */
export function planPartitions(observed: ObservedPartitions): PartitionsPlan {
  const { object, layout, now } = observed;
  const before = object.status as TopClientsStatus | undefined;
  const known = layout?.partitions ?? before?.partitions;
  const growth = growing(observed, layout);
  const republish = republishing(observed, before?.republish);
  const restored = resuming(observed, before?.restored);
  const jobs = [...growth.jobs, ...republish.jobs, ...restored.jobs];
  const failed = jobs.flatMap((job) => failureOf(observed, job));
  const retried = failed.filter(({ at }) => now >= retryAt(at, degradedIn(object)));
  const waits = [
    ...failed.map(({ at }) => Math.max(1_000, retryAt(at, degradedIn(object)) - now)),
    ...(jobs.length > 0 || !layout || growth.moves ? [LOOK_EVERY_MS] : []),
  ];
  return {
    jobs,
    retried: retried.map(({ live }) => live),
    condition: growth.condition,
    troubles: [
      ...growth.troubles,
      ...failed.map(({ because }) => ({
        reason: 'RepublishFailed',
        message: `sellers could not be published again: ${because}; it is tried again`,
      })),
    ],
    status: {
      ...(known === undefined ? {} : { partitions: known }),
      ...growth.status,
      ...(republish.status ? { republish: republish.status } : {}),
      ...(restored.status ? { restored: restored.status } : {}),
    },
    events: [...republish.events, ...restored.events],
    requeueAfterMs: waits.length > 0 ? Math.min(...waits) : null,
  };
}

const degradedIn = (object: StoredObject): Condition | undefined =>
  (object.status?.conditions as Condition[] | undefined)?.find(
    ({ type, reason }) => type === 'Degraded' && reason === 'RepublishFailed',
  );

function failureOf({ snapshot }: ObservedPartitions, job: KubeObject) {
  const live = snapshot.find(refOf(job));
  const state = jobState(live);
  if (!live || state.state !== 'failed') return [];
  return [
    { live, at: state.at, because: terminationMessage(job.metadata.name, snapshot.pods) ?? state.because },
  ];
}

interface Growing {
  readonly jobs: readonly KubeObject[];
  readonly moves: boolean;
  readonly condition: ConditionValue;
  readonly troubles: readonly Trouble[];
  readonly status: Pick<TopClientsStatus, 'growth'>;
}

function growing(
  { platform, relaysRolledOut, object, snapshot }: ObservedPartitions,
  layout: Layout | null,
): Growing {
  const wanted = platform.spec.kafka.partitions;
  const still = { jobs: [], moves: false, troubles: [], status: {} };
  if (!layout) {
    const growth = (object.status as TopClientsStatus | undefined)?.growth;
    const condition = {
      status: 'Unknown' as const,
      reason: 'LayoutUnknown',
      message: 'no relay has told yet by how many partitions messages are divided',
    };
    return { ...still, condition, status: growth ? { growth } : {} };
  }
  const { partitions, movedFrom, sellersDone, sellers } = layout;
  // A growth that has begun is completed, whatever the spec wants meanwhile.
  const job = () => growthJob(platform, Math.max(wanted, partitions));
  if (movedFrom !== null) {
    const percent = sellers > 0 ? Math.floor((100 * sellersDone) / sellers) : 0;
    return {
      ...still,
      jobs: [job()],
      moves: true,
      condition: no(
        'Growing',
        `${movedFrom} → ${partitions} partitions: ${percent} % of sellers published again`,
      ),
      status: { growth: { from: movedFrom, to: partitions, sellersDone, sellers } },
    };
  }
  if (wanted === partitions) {
    return { ...still, condition: yes('Settled', `messages are divided among ${partitions} partitions`) };
  }
  if (wanted < partitions) {
    const message = `messages are divided among ${partitions} partitions, and Kafka takes none away; set kafka.partitions to ${partitions}`;
    return {
      ...still,
      condition: no('MoreThanWanted', message),
      troubles: [{ reason: 'MorePartitionsThanWanted', message }],
    };
  }
  return {
    ...still,
    moves: true,
    jobs: relaysRolledOut ? [job()] : [],
    condition: relaysRolledOut
      ? no(
          'TopicGrows',
          `${topicGrows(platform)}; messages are still divided among ${partitions}${lastTry(snapshot, job())}`,
        )
      : no('WaitingForRelays', `${partitions} → ${wanted} partitions once every relay is of this version`),
    status: { growth: { from: partitions, to: wanted, sellersDone: 0, sellers: 0 } },
  };
}

const topicGrows = ({ spec: { kafka } }: Platform): string =>
  kafka.mode === 'external' && !kafka.external.createTopic
    ? `the topic is yours: give it ${kafka.partitions} partitions`
    : `the topic gets ${kafka.partitions} partitions`;

/** A Job counts as failed only after many tries, so the message of the last try is shown meanwhile. */
function lastTry(snapshot: ClusterSnapshot, job: KubeObject): string {
  const words = terminationMessage(job.metadata.name, snapshot.pods);
  return words === null ? '' : `; the last try ended with: ${words}`;
}

type Republish = NonNullable<TopClientsStatus['republish']>;
type Restored = NonNullable<TopClientsStatus['restored']>;

interface Requested<Status> {
  readonly jobs: readonly KubeObject[];
  readonly status: Status | undefined;
  readonly events: Plan['events'];
}

function republishing(observed: ObservedPartitions, before: Republish | undefined): Requested<Republish> {
  const { layout } = observed;
  const asked = requested(observed, REPUBLISH_ANNOTATION, before, republishJob, (request) => ({
    type: 'Normal',
    reason: 'Republished',
    message: `every seller was published again for ${request}`,
  }));
  const { status } = asked;
  const runs = status !== undefined && status.finishedAt === undefined && asked.jobs.length > 0;
  if (!runs || !layout || layout.movedFrom !== null || layout.sellers === 0) return asked;
  return { ...asked, status: { ...status, sellersDone: layout.sellersDone, sellers: layout.sellers } };
}

const resuming = (observed: ObservedPartitions, before: Restored | undefined): Requested<Restored> =>
  requested(observed, RESTORED_ANNOTATION, before, restoredJob, (request) => ({
    type: 'Normal',
    reason: 'RestoreFollowed',
    message: `nothing that was published is ahead of the source any more, after ${request}`,
  }));

/** What an annotation asks for, once for each of its values. */
function requested<Status extends Restored>(
  { object, platform, snapshot, relaysRolledOut, now }: ObservedPartitions,
  annotation: string,
  before: Status | undefined,
  jobOf: (platform: Platform, request: string) => KubeObject,
  done: (request: string) => Plan['events'][number],
): Requested<Status | Restored> {
  const request = object.metadata.annotations?.[annotation]?.trim().slice(0, LONGEST_REQUEST);
  const nothing = { jobs: [], status: before, events: [] };
  if (!request) return nothing;
  const mine = before?.request === request ? before : undefined;
  if (mine?.finishedAt) return nothing;
  // What has begun continues during an upgrade.
  if (!relaysRolledOut && !mine) return nothing;
  const startedAt = mine?.startedAt ?? timestamp(now);
  const job = jobOf(platform, request);
  if (jobState(snapshot.find(refOf(job))).state === 'complete') {
    return {
      // The job is pruned only after the status says that it is done.
      jobs: [job],
      status: { request, startedAt, finishedAt: timestamp(now) },
      events: [done(request)],
    };
  }
  return { jobs: [job], status: { request, startedAt }, events: [] };
}

/**
 * The partitions of a `KafkaTopic` are raised only after every relay reads the stored layout: an older relay would
 * follow the topic at once. They are never lowered.
 */
export function heldTopic(
  store: KubeObject,
  { snapshot, layout, relaysRolledOut }: Pick<ObservedPartitions, 'snapshot' | 'layout' | 'relaysRolledOut'>,
): KubeObject {
  if (store.kind !== 'KafkaTopic') return store;
  const now = snapshot.find(refOf(store))?.spec?.partitions as number | undefined;
  if (now === undefined) return store;
  const spec = store['spec'] as { readonly partitions: number };
  const partitions = layout && relaysRolledOut ? Math.max(now, spec.partitions) : now;
  return { ...store, spec: { ...spec, partitions } } as KubeObject;
}
