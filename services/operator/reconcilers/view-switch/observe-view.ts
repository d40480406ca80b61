import type { ViewId } from '#cdk8s/api/page-view.ts';
import { projectorInstance } from '#cdk8s/constructs/projector.ts';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import { compareJob, dropJob, showJob } from '#cdk8s/manifests.ts';
import { isSwitchedTo, names, type PageOf, type Platform, type ShownView } from '#cdk8s/platform.ts';
import type { ClusterSnapshot } from '../../runtime/cluster-snapshot.ts';
import type { StoredObject } from '../../runtime/kube.ts';
import { refOf } from '../../runtime/objects.ts';
import { jobState, terminationMessage } from '../jobs/jobs.ts';
import {
  attemptOf,
  type Building,
  type Comparison,
  type ComparisonVerdict,
  type ViewRemains,
} from './view-switch.ts';

/** One page as the cluster has it. */
export interface ObservedWorkloads {
  readonly platform: Platform;
  readonly page: PageOf;
  readonly snapshot: ClusterSnapshot;
}

const labelOf = (object: { readonly metadata: KubeObject['metadata'] }, label: string): string | undefined =>
  object.metadata.labels?.[`app.kubernetes.io/${label}`];
export const componentOf = (object: StoredObject) => labelOf(object, 'component');

/** The state of the comparison of the current attempt. */
export function comparisonOf(
  { platform, page, snapshot }: ObservedWorkloads,
  building: Building,
): Comparison {
  const { delivery, version } = building;
  const job = compareJob(platform, page, { delivery, version }, attemptOf(building));
  const state = jobState(snapshot.find(refOf(job)));
  const words = terminationMessage(job.metadata.name, snapshot.pods);
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

/** A verdict that cannot be read counts as none: a view is never switched to on a guess. */
export function readVerdict(words: string | null): ComparisonVerdict | null {
  try {
    const { sellers, differing, examples, caughtUp } = JSON.parse(words ?? '') as Partial<ComparisonVerdict>;
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

/** What is left of a view: its projectors to the last pod, and any job that removes its rows, whatever its image. */
export function remainsOf(
  { platform, page, snapshot }: ObservedWorkloads,
  view: ViewId,
  shown: ShownView,
): ViewRemains {
  const instance = projectorInstance(page.name, view);
  const isOf = (component: string) => (object: StoredObject) =>
    componentOf(object) === component && labelOf(object, 'instance') === instance;
  const deployment = snapshot.find({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    name: names.projector(page.name, view),
  });
  const current = dropJob(platform, page, view, shown).metadata.name;
  const jobs = snapshot
    .all()
    .filter(({ kind }) => kind === 'Job')
    .filter(isOf('drop-view'));
  const job = jobs.find(({ metadata }) => metadata.name === current);
  const state = jobState(job).state;
  return {
    projector: deployment !== undefined || snapshot.pods.some(isOf('projector')),
    drop:
      jobs.length === 0 ? 'none' : state === 'complete' ? 'done' : state === 'failed' ? 'failed' : 'running',
  };
}

/**
 * Whether the page shows this: its read surface does, every pod that may still answer gets the data that way, and no
 * other kind of pod will follow.
 */
export function pageShows({ platform, page, snapshot }: ObservedWorkloads, shown: ShownView): boolean {
  if (isSwitchedTo(shown)) {
    const job = showJob(platform, page, shown);
    if (jobState(snapshot.find(refOf(job))).state !== 'complete') return false;
  }
  // Whoever serves it reads what its database shows.
  if (page.spec.external !== undefined) return true;
  const name = names.page(page.name);
  const deployment = snapshot.find({ apiVersion: 'apps/v1', kind: 'Deployment', name });
  if (!deployment) return false;
  const { status, metadata, spec } = deployment;
  const seen = (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0);
  const renewed = (status?.updatedReplicas ?? 0) === (status?.replicas ?? 0);
  const pods = snapshot.pods.filter(
    (pod) => componentOf(pod) === 'page-server' && labelOf(pod, 'instance') === page.name,
  );
  return (
    seen &&
    renewed &&
    [spec?.template?.spec, ...pods.map((pod) => pod.spec)].every((one) => deliveryOf(one) === shown.delivery)
  );
}

function deliveryOf(
  pod: { containers?: { env?: { name: string; value?: string }[] }[] } | undefined,
): string | undefined {
  const env = pod?.containers?.flatMap((container) => container.env ?? []) ?? [];
  return env.find(({ name }) => name === 'TC_DELIVERY')?.value;
}
