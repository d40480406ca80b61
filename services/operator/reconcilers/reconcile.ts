import type { ViewId } from '#cdk8s/api/page-view.ts';
import type { ViewPage } from '#contracts/pages.ts';
import type { Log } from '#platform/log.ts';
import type { LastApplied } from '../runtime/apply.ts';
import { conditionsIn, conditionsOf, degraded, transitions } from '../runtime/conditions.ts';
import type { EventRecorder, Kube, StoredObject } from '../runtime/kube.ts';
import { refOf } from '../runtime/objects.ts';
import { applyPlan, type PlanOutcome } from './apply-plan.ts';
import { setFinalizer } from './finalizer.ts';
import { type GatherSettings, gatherPage, gatherPlatform } from './gather.ts';
import { PLATFORM_KEY, pageKey } from './keys.ts';
import { planPage } from './page/plan-page.ts';
import { notReadyFor, type Plan } from './plan.ts';
import { planPlatform } from './platform/plan-platform.ts';
import type { Recommendation } from './scaling/scaler.ts';
import { SECRETS_LOOK_MS } from './secret-revisions.ts';

export interface ReconcileSettings extends GatherSettings {
  /** Refuses to write for a process that is no longer the leader. */
  readonly kube: Kube;
  readonly events: EventRecorder;
  readonly log: Log;
  readonly applied: LastApplied;
  /** Told what a page of somebody else shows; null when it is gone. */
  readonly onShown: (page: ViewPage, shown: ViewId | null) => void;
}

/** The wait while an object of our name is still being deleted. */
const LEAVING_MS = 2_000;
/** A refusal may be cured by something that we do not watch: a quota, a right, an admission policy. */
const REFUSED_MS = 60_000;

/**
 * Brings one object to what its spec says: observes everything, decides, applies.
 * @returns the function the queue calls with `topclients` or `pageview/<name>`
 */
export function reconciler(settings: ReconcileSettings) {
  const histories = new Map<string, readonly Recommendation[]>();

  return async (key: string): Promise<{ readonly requeueAfterMs: number } | undefined> => {
    if (key === PLATFORM_KEY) {
      const observed = await gatherPlatform(settings);
      const plan = planPlatform(observed);
      if (!plan) return undefined;
      return follow(settings, observed.object!, plan, await act(settings, observed.object!, plan, observed));
    }
    const name = key.slice(pageKey('').length);
    const observed = await gatherPage(settings, name);
    const planned = observed && planPage(observed, histories.get(name) ?? []);
    if (!planned) {
      histories.delete(name);
      settings.onShown(name, null);
      return undefined;
    }
    histories.set(name, planned.history);
    if (observed.external !== null) settings.onShown(name, planned.shown);
    return follow(
      settings,
      observed.page,
      planned.plan,
      await act(settings, observed.page, planned.plan, observed),
    );
  };
}

interface Acted {
  readonly outcome: PlanOutcome;
  /** The object as it is after a decision was written. */
  readonly object: StoredObject;
}

async function act(
  { kube, applied }: ReconcileSettings,
  object: StoredObject,
  plan: Plan,
  { snapshot }: { readonly snapshot: Parameters<typeof applyPlan>[3] },
): Promise<Acted> {
  // The decision is stored before it is applied: a crash in between must not switch the view back.
  // Nothing is made in a page's database before its deletion waits for the removal.
  const held = plan.finalizer === true ? await setFinalizer(kube, object, true) : object;
  const decided = plan.decided
    ? await writeStatus(kube, held, { ...plan.status, conditions: conditionsIn(held) })
    : held;
  return { outcome: await applyPlan(kube, object, plan, snapshot, applied), object: decided };
}

/** Reports the result: status, Events, and when to look again. */
async function follow(
  { kube, events, log, now }: ReconcileSettings,
  before: StoredObject,
  plan: Plan,
  { outcome, object }: Acted,
): Promise<{ readonly requeueAfterMs: number } | undefined> {
  const generation = before.metadata.generation ?? 0;
  const old = conditionsIn(before);
  const troubles = [...plan.troubles, ...outcome.troubles];
  const conditions = [
    ...conditionsOf(
      old,
      { ...plan.conditions, ...notReadyFor(outcome.troubles) },
      plan.observedGeneration,
      now(),
    ),
    ...conditionsOf(old, { Degraded: degraded(troubles) }, generation, now()),
  ];
  const status = { ...plan.status, conditions };
  const written = equal(status, object.status) ? object : await writeStatus(kube, object, status);
  for (const { type, reason, message } of [
    ...plan.events,
    ...transitions(old, conditions, ['ViewCurrent']),
  ]) {
    events.event(before, type, reason, message);
  }
  // Last, because it changes the version that the status is written against.
  if (plan.scaleTo !== null) {
    await kube.patch(refOf(before), { spec: { replicas: plan.scaleTo } }, 'scale');
    events.event(before, 'Normal', 'Scaled', `${before.spec?.replicas} → ${plan.scaleTo} projectors`);
  } else if (plan.finalizer === false) await setFinalizer(kube, written, false);
  if (outcome.applied + outcome.removed > 0) {
    log.info({ object: before.metadata.name, ...outcome, troubles: troubles.length }, 'reconciled');
  }
  const waits = [
    plan.requeueAfterMs,
    SECRETS_LOOK_MS,
    outcome.waits ? LEAVING_MS : null,
    outcome.troubles.length > 0 ? REFUSED_MS : null,
  ].filter((ms) => ms !== null);
  return { requeueAfterMs: Math.min(...waits) };
}

/** Writes against the version that was read: a decision made on an older version is refused and made again. */
function writeStatus(kube: Kube, object: StoredObject, status: object): Promise<StoredObject> {
  const { apiVersion, kind } = object;
  const { name, namespace, resourceVersion } = object.metadata;
  const metadata = { name, resourceVersion, ...(namespace === undefined ? {} : { namespace }) };
  return kube.applyStatus({ apiVersion, kind, metadata, status });
}

/** Compares without regard to the order of fields; `undefined` counts as absent. */
function equal(a: unknown, b: unknown): boolean {
  const sorted = (value: unknown): unknown =>
    Array.isArray(value)
      ? value.map(sorted)
      : typeof value === 'object' && value !== null
        ? Object.entries(value)
            .filter(([, one]) => one !== undefined)
            .sort(([x], [y]) => (x < y ? -1 : 1))
            .map(([name, one]) => [name, sorted(one)])
        : value;
  const byType = (status: unknown) => {
    const { conditions = [], ...rest } = (status ?? {}) as { conditions?: { type: string }[] };
    return { ...rest, conditions: [...conditions].sort((x, y) => (x.type < y.type ? -1 : 1)) };
  };
  return JSON.stringify(sorted(byType(a))) === JSON.stringify(sorted(byType(b)));
}
