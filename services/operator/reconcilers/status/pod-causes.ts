import { selectorOf } from '#cdk8s/constructs/labels.ts';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import type { ClusterSnapshot, Warning } from '../../runtime/cluster-snapshot.ts';
import { type ConditionValue, conditionOf, no, type Trouble } from '../../runtime/conditions.ts';
import type { StoredObject } from '../../runtime/kube.ts';
import { nameOf, refOf } from '../../runtime/objects.ts';
import { jobState } from '../jobs/jobs.ts';

/** Why pods do not run, and when to look again; a cause may be too young to be told, or end by time alone. */
export interface PodCauses {
  readonly troubles: readonly (Trouble & { readonly workload: string })[];
  readonly lookAgainInMs: number | null;
}

/** Why one pod does not run, in Kubernetes' own word where it has one. */
interface Cause {
  readonly reason: string;
  readonly words: string;
  /** When it is told first, in ms since the epoch; absent: at once. */
  readonly from?: number;
  /** When it is over if nothing follows, in ms since the epoch. */
  readonly until?: number;
}

/** A volume is attached, or a node added, within this time where nothing is wrong. */
const YOUNG_MS = 10_000;
/** A container that was killed for its memory and runs again is told for so long, longer than the kubelet backs off. */
const KILLED_MS = 300_000;
const CRASHED_MS = 600_000;
/** The first try of a job may meet something that is not there yet; the second one should not. */
const FAILED_TRIES = 2;
const LONGEST_WORDS = 400;

/** The pods of a Deployment, StatefulSet or Job. */
export function podsOfWorkload(workload: KubeObject, pods: readonly StoredObject[]): readonly StoredObject[] {
  const labels: Readonly<Record<string, string>> =
    workload.kind === 'Job'
      ? { 'batch.kubernetes.io/job-name': workload.metadata.name }
      : selectorOf(
          workload.metadata.labels?.['app.kubernetes.io/component'] ?? '',
          workload.metadata.labels?.['app.kubernetes.io/instance'],
        );
  return pods.filter(({ metadata }) =>
    Object.entries(labels).every(([name, value]) => metadata.labels?.[name] === value),
  );
}

/** Why the pods of these Deployments, StatefulSets and Jobs do not run: a trouble for each workload and reason. */
export function podCauses(
  workloads: readonly KubeObject[],
  snapshot: ClusterSnapshot,
  now: number,
): PodCauses {
  const troubles: PodCauses['troubles'][number][] = [];
  const due: number[] = [];
  for (const workload of workloads) {
    const live = snapshot.find(refOf(workload));
    if (!live) continue;
    const found = new Map<string, { readonly pod: string; readonly words: string; pods: number }>();
    for (const { pod, cause } of causesOf(live, snapshot, now)) {
      const { reason, words, from = 0, until } = cause;
      if (from > now) {
        due.push(from);
        continue;
      }
      if (until !== undefined) due.push(until);
      const known = found.get(reason);
      if (known) known.pods += 1;
      else found.set(reason, { pod, words, pods: 1 });
    }
    for (const [reason, { pod, words, pods }] of found) {
      const others = pods > 1 ? `, and ${pods - 1} more` : '';
      const workload = live.metadata.name;
      troubles.push({ reason, workload, message: `${nameOf(refOf(live))}: ${pod}${others}: ${words}` });
    }
  }
  const next = due.filter((at) => at > now);
  return { troubles, lookAgainInMs: next.length > 0 ? Math.max(1_000, Math.min(...next) - now) : null };
}

/** The condition Ready of what lacks pods of these workloads; null when no cause is known. */
export function becauseOf({ troubles }: PodCauses, ...workloads: readonly string[]): ConditionValue | null {
  const first = troubles.find(({ workload }) => workloads.includes(workload));
  return first ? no(first.reason, first.message) : null;
}

function causesOf(
  live: StoredObject,
  snapshot: ClusterSnapshot,
  now: number,
): { readonly pod: string; readonly cause: Cause }[] {
  const isJob = live.kind === 'Job';
  // What became of a job that is over is told by whoever waits for it.
  if (isJob && jobState(live).state !== 'running') return [];
  const pods = podsOfWorkload(live, snapshot.pods);
  const lacks = isJob || (live.status?.readyReplicas ?? 0) < (live.spec?.replicas ?? 1);
  const found = pods.flatMap((pod) => {
    const cause = isOver(pod)
      ? lacks
        ? endOf(pod)
        : null
      : (causeOf(pod, now) ?? snapshot.warnings.get(pod.metadata.uid) ?? null);
    return cause ? [{ pod: pod.metadata.name, cause }] : [];
  });
  const refused = conditionOf(live, 'ReplicaFailure');
  return [
    ...found,
    ...(refused?.status === 'True'
      ? [
          {
            pod: 'pods are refused',
            cause: { reason: refused.reason ?? 'FailedCreate', words: shortened(refused.message ?? '') },
          },
        ]
      : []),
    ...(isJob ? failedTries(pods) : []),
  ];
}

const isOver = ({ status }: StoredObject): boolean =>
  status?.phase === 'Failed' || status?.phase === 'Succeeded';

/** Why a pod ended that nobody meant to end: it was evicted, or its node went. */
function endOf({ status }: StoredObject): Cause | null {
  if (status?.phase !== 'Failed') return null;
  const killed = containersOf(status).find(({ state }) => state?.terminated?.reason === 'OOMKilled');
  if (killed) return { reason: 'OOMKilled', words: `${killed.name} needed more memory than its limit` };
  if (typeof status.reason !== 'string' || status.reason === '') return null;
  return { reason: status.reason, words: shortened(status.message ?? 'no reason given') };
}

/** A job's pods are not restarted, each try is a pod of its own. */
function failedTries(pods: readonly StoredObject[]): { readonly pod: string; readonly cause: Cause }[] {
  const failed = pods.flatMap((pod) => {
    if (pod.status?.phase !== 'Failed') return [];
    const end = containersOf(pod.status)
      .map(({ state }) => state?.terminated)
      .find((one) => one && one.exitCode !== 0 && one.reason !== 'OOMKilled');
    return end ? [{ pod: pod.metadata.name, end, at: Date.parse(end.finishedAt ?? '') || 0 }] : [];
  });
  if (failed.length < FAILED_TRIES) return [];
  const last = failed.reduce((a, b) => (b.at >= a.at ? b : a));
  const words = `${failed.length} tries have failed, the last with exit code ${last.end.exitCode}${saying(last.end)}`;
  return [{ pod: last.pod, cause: { reason: 'JobFailing', words } }];
}

/** What the kubelet and the scheduler say of a pod that has not ended. */
function causeOf(pod: StoredObject, now: number): Cause | null {
  const { metadata, spec, status } = pod;
  const ready = conditionOf(pod, 'Ready');
  const containers = containersOf(status);
  const running: readonly ContainerStatus[] = status?.containerStatuses ?? [];
  const silent =
    ready?.status === 'False' &&
    running.length > 0 &&
    running.every((one) => one.state?.running && one.ready === true) &&
    !spec?.readinessGates?.length;
  if (silent) {
    // Only the node's controller says so about a pod whose containers are all ready.
    const since = Date.parse(ready.lastTransitionTime ?? '') || now;
    return {
      reason: 'NodeLost',
      words: `its node ${spec?.nodeName} does not answer`,
      from: since + YOUNG_MS,
    };
  }
  if (metadata.deletionTimestamp) return null;
  const scheduled = conditionOf(pod, 'PodScheduled');
  if (scheduled?.status === 'False') {
    const since = Date.parse(scheduled.lastTransitionTime ?? '') || now;
    return {
      reason: scheduled.reason ?? 'Unschedulable',
      words: shortened(scheduled.message ?? 'no node can have it'),
      from: since + YOUNG_MS,
    };
  }
  for (const container of containers) {
    const cause = containerCause(container, now);
    if (cause) return cause;
  }
  return null;
}

interface Terminated {
  readonly exitCode?: number;
  readonly reason?: string;
  readonly message?: string;
  readonly finishedAt?: string;
}
interface ContainerStatus {
  readonly name: string;
  readonly ready?: boolean;
  readonly restartCount?: number;
  readonly state?: {
    readonly waiting?: { readonly reason?: string; readonly message?: string };
    readonly running?: object;
    readonly terminated?: Terminated;
  };
  readonly lastState?: { readonly terminated?: Terminated };
}

const containersOf = (status: StoredObject['status']): readonly ContainerStatus[] => [
  ...(status?.initContainerStatuses ?? []),
  ...(status?.containerStatuses ?? []),
];

/** The kubelet alternates between the words of one reason. */
const SAME: Readonly<Record<string, string>> = {
  ImagePullBackOff: 'ErrImagePull',
  InvalidImageName: 'ErrImagePull',
  ErrImageNeverPull: 'ErrImagePull',
  RegistryUnavailable: 'ErrImagePull',
  ImageInspectError: 'ErrImagePull',
};
/** What follows is what the kubelet says between two of these: the sentence stays the same then. */
const BACK_OFF = /^Back-off pulling image "[^"]*": ErrImagePull: /;
const BY_NAME = new Set([
  ...['ErrImagePull', 'CreateContainerConfigError', 'CreateContainerError', 'RunContainerError'],
  ...['StartError', 'PreStartHookError', 'PostStartHookError'],
]);

function containerCause(
  { name, ready = false, restartCount = 0, state, lastState }: ContainerStatus,
  now: number,
): Cause | null {
  const waiting = state?.waiting;
  const reason = waiting?.reason && (SAME[waiting.reason] ?? waiting.reason);
  if (reason && BY_NAME.has(reason)) {
    const words = (waiting?.message ?? waiting?.reason ?? reason).replace(BACK_OFF, '');
    return { reason, words: `${name}: ${shortened(words)}` };
  }
  const end = state?.terminated ?? lastState?.terminated;
  if (!end) return null;
  const endedAt = Date.parse(end.finishedAt ?? '') || now;
  if (end.reason === 'OOMKilled' && (!ready || now < endedAt + KILLED_MS)) {
    return {
      reason: 'OOMKilled',
      words: `${name} needed more memory than its limit and was killed, ${restartCount} restarts so far`,
      ...(ready ? { until: endedAt + KILLED_MS } : {}),
    };
  }
  // Between two crashes a container runs for a moment, which is no recovery.
  const crashes =
    reason === 'CrashLoopBackOff' ||
    (!ready && restartCount >= FAILED_TRIES && end.exitCode !== 0 && now < endedAt + CRASHED_MS);
  if (!crashes) return null;
  return {
    reason: 'CrashLoopBackOff',
    words: `${name} ended with exit code ${end.exitCode ?? 'unknown'}${saying(end)}`,
  };
}

/** The last line that a container wrote; of a line of our log, what it says. */
function saying({ message }: Terminated): string {
  const line = message?.trim().split('\n').at(-1)?.trim();
  if (!line) return '';
  try {
    const { msg, err } = JSON.parse(line) as { msg?: unknown; err?: { message?: unknown } };
    const said = [msg, err?.message].filter((one) => typeof one === 'string' && one !== '');
    if (said.length > 0) return `: ${shortened(said.join(': '))}`;
  } catch {
    // It is no line of a log.
  }
  return `: ${shortened(line)}`;
}

const shortened = (words: string): string =>
  words.length > LONGEST_WORDS ? `${words.slice(0, LONGEST_WORDS)}…` : words;

/** A pod that has a node and does not get on, without any word in its status: its Events say why. */
export function isMute(pod: StoredObject, now: number): boolean {
  const { metadata, status } = pod;
  const scheduled = conditionOf(pod, 'PodScheduled');
  return (
    status?.phase === 'Pending' &&
    !metadata.deletionTimestamp &&
    scheduled?.status === 'True' &&
    now >= (Date.parse(scheduled.lastTransitionTime ?? '') || 0) + YOUNG_MS &&
    containersOf(status).every(({ state }) => isPreparing(state?.waiting?.reason))
  );
}
const isPreparing = (reason: string | undefined) =>
  reason === undefined || reason === 'ContainerCreating' || reason === 'PodInitializing';

/** Events that tell of a volume, by whoever noticed. */
const OF_VOLUMES = new Set(['FailedMount', 'FailedAttachVolume', 'FailedMapVolume']);

/** @param events warnings about one pod @returns the last of them; null when there is none */
export function lastWarning(events: readonly StoredObject[]): Warning | null {
  const at = (event: StoredObject): number =>
    Date.parse(
      (event['lastTimestamp'] ?? event['eventTime'] ?? event.metadata.creationTimestamp) as string,
    ) || 0;
  const told = events.filter((event) => typeof event['reason'] === 'string');
  if (told.length === 0) return null;
  const last = told.reduce((a, b) => (at(b) >= at(a) ? b : a));
  const reason = last['reason'] as string;
  return {
    reason: OF_VOLUMES.has(reason) ? 'FailedMount' : reason,
    words: shortened(String(last['message'] ?? 'no reason given')),
  };
}
