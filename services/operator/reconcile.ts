import type { Log } from '#platform/log.ts';
import { type Applied, carryOut, type Outcome } from './carry-out.ts';
import { conditionsOf, degraded, transitions } from './conditions.ts';
import { type GatherSettings, gatherPage, gatherPlatform } from './gather.ts';
import { refOf } from './kinds.ts';
import type { EventRecorder, Kube, StoredObject } from './kube/kube.ts';
import { conditionsIn, type Plan } from './plan.ts';
import { planPage } from './plan-page.ts';
import { planPlatform } from './plan-platform.ts';
import type { Recommendation } from './scaler.ts';

/** What waits in the queue: the platform, or one page. */
export const PLATFORM_KEY = 'topclients';
export const pageKey = (name: string): string => `pageview/${name}`;

export interface ReconcileSettings extends GatherSettings {
  /** Refuses to write for who does not lead any more. */
  readonly kube: Kube;
  readonly events: EventRecorder;
  readonly log: Log;
  readonly applied: Applied;
}

/** While an object of our name is still going. */
const LEAVING_MS = 2_000;
/** A refusal may be cured by what we do not watch: a quota, a right, an admission policy. */
const REFUSED_MS = 60_000;

/**
 * Brings one object to what its spec says: looks at all there is, decides, does it.
 * @returns the function the queue calls with `topclients` or `pageview/<name>`
 */
export function reconciler(settings: ReconcileSettings) {
  const histories = new Map<string, readonly Recommendation[]>();

  return async (key: string): Promise<{ readonly againAfterMs: number } | undefined> => {
    if (key === PLATFORM_KEY) {
      const sight = await gatherPlatform(settings);
      const plan = planPlatform(sight);
      if (!plan) return undefined;
      return follow(settings, sight.object!, plan, await act(settings, sight.object!, plan, sight));
    }
    const name = key.slice(pageKey('').length);
    const sight = await gatherPage(settings, name);
    const planned = sight && planPage(sight, histories.get(name) ?? []);
    if (!planned) {
      histories.delete(name);
      return undefined;
    }
    histories.set(name, planned.history);
    return follow(settings, sight.page, planned.plan, await act(settings, sight.page, planned.plan, sight));
  };
}

interface Acted {
  readonly outcome: Outcome;
  /** The object as it is after a decision was written. */
  readonly object: StoredObject;
}

async function act(
  { kube, applied }: ReconcileSettings,
  object: StoredObject,
  plan: Plan,
  { existing }: { readonly existing: Parameters<typeof carryOut>[3] },
): Promise<Acted> {
  // A view that is switched to, and only then found to be: a crash in between must not switch it back.
  const decided = plan.decided
    ? await writeStatus(kube, object, { ...plan.status, conditions: conditionsIn(object) })
    : object;
  return { outcome: await carryOut(kube, object, plan, existing, applied), object: decided };
}

/** Tells what came of it: status, Events, and when to look again. */
async function follow(
  { kube, events, log, now }: ReconcileSettings,
  before: StoredObject,
  plan: Plan,
  { outcome, object }: Acted,
): Promise<{ readonly againAfterMs: number } | undefined> {
  const generation = before.metadata.generation ?? 0;
  const old = conditionsIn(before);
  const troubles = [...plan.troubles, ...outcome.troubles];
  const conditions = [
    ...conditionsOf(old, plan.said, plan.observed, now()),
    ...conditionsOf(old, { Degraded: degraded(troubles) }, generation, now()),
  ];
  const status = { ...plan.status, conditions };
  if (!equal(status, object.status)) await writeStatus(kube, object, status);
  for (const { type, reason, message } of [...plan.events, ...transitions(old, conditions)]) {
    events.event(before, type, reason, message);
  }
  // Last, for it changes the version that the status is written against.
  if (plan.scaleTo !== null) {
    await kube.patch(refOf(before), { spec: { replicas: plan.scaleTo } }, 'scale');
    events.event(before, 'Normal', 'Scaled', `${before.spec?.replicas} → ${plan.scaleTo} projectors`);
  }
  if (outcome.applied + outcome.removed > 0) {
    log.info({ object: before.metadata.name, ...outcome, troubles: troubles.length }, 'reconciled');
  }
  const waits = [
    plan.againInMs,
    outcome.waits ? LEAVING_MS : null,
    outcome.troubles.length > 0 ? REFUSED_MS : null,
  ].filter((ms) => ms !== null);
  return waits.length > 0 ? { againAfterMs: Math.min(...waits) } : undefined;
}

/** Against the version that was read: who decided on an older one decides again. */
function writeStatus(kube: Kube, object: StoredObject, status: object): Promise<StoredObject> {
  const { apiVersion, kind } = object;
  const { name, namespace, resourceVersion } = object.metadata;
  const metadata = { name, resourceVersion, ...(namespace === undefined ? {} : { namespace }) };
  return kube.applyStatus({ apiVersion, kind, metadata, status });
}

/** Whatever the order of fields; `undefined` is not there. */
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
