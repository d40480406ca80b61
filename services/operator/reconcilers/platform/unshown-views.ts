import type { PageViewSpec, TopClientsStatus, UnshownView, ViewId } from '#cdk8s/api/page-view.ts';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import { dropJob } from '#cdk8s/manifests.ts';
import { isSameView, type Platform, wantedView } from '#cdk8s/platform.ts';
import type { ClusterSnapshot } from '../../runtime/cluster-snapshot.ts';
import type { StoredObject } from '../../runtime/kube.ts';
import { terminationMessage } from '../jobs/jobs.ts';
import type { Plan } from '../plan.ts';
import { remainsOf } from '../view-switch/observe-view.ts';
import { idOf, isLeaving, type ViewMemory } from '../view-switch/view-switch.ts';

/** The views in our databases that a page does not show and never will once it is gone, by the page's name. */
export type UnshownViews = ReadonlyMap<string, readonly ViewId[]>;

/**
 * The views of a page that go when it is deleted, also under `deletionPolicy: Retain`: what is being built, or about to be,
 * and what was given up. What was shown stays. `Delete` removes all of them itself, and a database of somebody else is not
 * reached any more without its page.
 */
export function unshownViews(spec: PageViewSpec, { shown, building, kept }: ViewMemory): readonly ViewId[] {
  if (spec.deletionPolicy === 'Delete' || spec.external !== undefined) return [];
  const wanted = wantedView(spec);
  // The first view of a page is shown as soon as it stands, and one that was kept has been shown.
  const isAhead =
    wanted !== null &&
    shown !== null &&
    ![shown, ...(building === null ? [] : [building]), ...kept].some((one) => isSameView(one, wanted));
  const built = building !== null && building.keptUntil === undefined ? [idOf(building)] : [];
  return [...built, ...(isAhead ? [wanted] : []), ...kept.filter(isLeaving).map(idOf)];
}

const LOOK_AGAIN_MS = 5_000;

/** What is done about views that nobody showed and whose page is gone; nothing waits for it. */
export function planUnshown(
  platform: Platform,
  object: StoredObject,
  views: UnshownViews,
  snapshot: ClusterSnapshot,
): {
  readonly jobs: readonly KubeObject[];
  readonly status: Pick<TopClientsStatus, 'unshown'>;
  readonly events: Plan['events'];
  readonly requeueAfterMs: number | null;
} {
  const remembered = (object.status as TopClientsStatus | undefined)?.unshown ?? [];
  const jobs: KubeObject[] = [];
  const events: Plan['events'][number][] = [];
  // A page that is made again goes on with what it finds.
  const left = remembered.filter((one) => {
    if (views.has(one.page)) return false;
    const view = idOf(one);
    const page = { name: one.page, spec: {} };
    const what = `${one.delivery} v${one.version} of the page ${one.page}, which is deleted`;
    // As if another view were shown: what the database shows after all is refused to the job.
    const job = dropJob(platform, page, view, view);
    const { projector, drop } = remainsOf({ platform, page, snapshot }, view, view);
    if (drop === 'done') {
      events.push({
        type: 'Normal',
        reason: 'UnshownViewRemoved',
        message: `removed ${what}: it was never shown`,
      });
      return false;
    }
    if (drop === 'failed') {
      const because = terminationMessage(job.metadata.name, snapshot.pods) ?? 'its job failed';
      events.push({
        type: 'Warning',
        reason: 'UnshownViewLeft',
        message: `what was built of ${what}, stays in its database: ${because}`,
      });
      return false;
    }
    if (!projector) jobs.push(job);
    return true;
  });
  const ofPages = [...views].flatMap(([page, those]) =>
    those.map((view): UnshownView => ({ page, ...view })),
  );
  const unshown = [...ofPages, ...left].sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
  return {
    jobs,
    status: unshown.length > 0 ? { unshown } : {},
    events,
    requeueAfterMs: left.length > 0 ? LOOK_AGAIN_MS : null,
  };
}

const nameOf = ({ page, delivery, version }: UnshownView): string => `${page} ${delivery} ${version}`;
