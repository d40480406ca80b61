import type { PageViewSpec } from '#cdk8s/api/page-view.ts';
import { dropAllJob } from '#cdk8s/manifests.ts';
import type { PageOf, Platform } from '#cdk8s/platform.ts';
import type { ViewPage } from '#contracts/pages.ts';
import { conditionsIn, type Trouble, yes } from '../../runtime/conditions.ts';
import type { StoredObject } from '../../runtime/kube.ts';
import { refOf } from '../../runtime/objects.ts';
import { FINALIZER } from '../finalizer.ts';
import type { ObservedPage } from '../gather.ts';
import { jobState, retryAt, terminationMessage } from '../jobs/jobs.ts';
import { leaveAsItIs, type Plan, removal, toPrune } from '../plan.ts';

const LOOK_AGAIN_MS = 2_000;

/**
 * Decides what is done about a page that is being deleted: with `deletionPolicy: Delete` what was made in its database
 * is removed first. `Retain` lets go at once, also when it is set while the removal fails.
 * @param inputs null where the spec cannot be read, or the platform by which the removal would run
 * @returns null when nothing is left to do
 */
export function planDeletion(
  observed: ObservedPage,
  inputs: { readonly page: PageOf & { readonly spec: PageViewSpec }; readonly platform: Platform } | null,
): Plan | null {
  const { page, name, object, snapshot, now } = observed;
  if (!page.metadata.finalizers?.includes(FINALIZER)) return null;
  const waits = (why: string, trouble: Trouble | null): Plan => {
    const { conditions, ...plan } = leaveAsItIs(page, conditionsIn(page), NOTHING);
    return {
      ...plan,
      conditions: { ...conditions, Progressing: yes('BeingDeleted', why) },
      troubles: trouble ? [trouble] : [],
    };
  };
  const letGo = (type: 'Normal' | 'Warning', reason: string, message: string): Plan => ({
    ...waits(message, null),
    finalizer: false,
    events: [{ type, reason, message }],
  });

  // Without a platform nothing can be run any more, and nobody would ever let go.
  if (!object || object.metadata.deletionTimestamp) {
    const message = `there is no TopClients any more by which the views of ${name} could be removed: they stay in its database`;
    return letGo('Warning', 'ViewsStay', message);
  }
  // Nor can anything be run in a namespace that goes.
  if (observed.namespaceEnds) {
    const message = `the namespace is being deleted, so that the views of ${name} cannot be removed: they stay in its database`;
    return letGo('Warning', 'ViewsStay', message);
  }
  if (inputs === null) {
    const message =
      'what was made for this page in its database cannot be removed while its spec, or that of the TopClients, cannot be used; correct that, or set deletionPolicy to Retain to leave it there';
    return waits('its spec cannot be used', { reason: 'DropFailed', message });
  }
  if (inputs.page.spec.deletionPolicy === 'Retain')
    return letGo('Normal', 'ViewsStay', `the views of ${name} stay in its database, as deletionPolicy wants`);

  const job = dropAllJob(inputs.platform, inputs.page);
  const live = snapshot.find(refOf(job));
  const state = jobState(live);
  if (state.state === 'complete')
    return letGo('Normal', 'ViewsRemoved', `removed what was made for ${name} in its database`);

  const plan = {
    ...waits('what was made in its database is removed first', null),
    requeueAfterMs: LOOK_AGAIN_MS,
  };
  const others = toPrune(page, [job], snapshot, { jobsToo: true });
  // Whoever still works there would register views anew, or write to them.
  const pods = snapshot.pods.filter((pod) => worksFor(name, pod) && !isJobs(job.metadata.name, pod));
  if (others.length > 0 || pods.length > 0) return { ...plan, remove: others };
  if (observed.external !== null && observed.external.lack.length > 0)
    return { ...plan, ...failing(observed.external.lack.join('; ')) };
  if (state.state !== 'failed' || !live) return { ...plan, ensure: [job] };

  const because = terminationMessage(job.metadata.name, snapshot.pods) ?? state.because;
  const degraded = conditionsIn(page).find(
    ({ type, reason }) => type === 'Degraded' && reason === 'DropFailed',
  );
  const again = retryAt(state.at, degraded);
  return {
    ...plan,
    ...failing(because),
    ...(now >= again ? { remove: [removal(live)] } : {}),
    requeueAfterMs: Math.max(1_000, again - now),
  };
}

const failing = (because: string): Pick<Plan, 'troubles'> => ({
  troubles: [
    {
      reason: 'DropFailed',
      message: `what was made for this page in its database could not be removed: ${because}; it is tried again. Set deletionPolicy to Retain to leave it there`,
    },
  ],
});

const NOTHING: Trouble = { reason: 'BeingDeleted', message: '' };

const INSTANCE = 'app.kubernetes.io/instance';
/** Whether a pod is of a page, or of a version of its view. */
const worksFor = (page: ViewPage, { metadata }: StoredObject): boolean => {
  const instance = metadata.labels?.[INSTANCE] ?? '';
  return instance === page || new RegExp(`^${page}-(asynchronous|hybrid)-v\\d+$`).test(instance);
};
const isJobs = (job: string, { metadata }: StoredObject): boolean =>
  metadata.labels?.['batch.kubernetes.io/job-name'] === job;
