import { type PageViewSpec, serverOf } from '#cdk8s/api/page-view.ts';
import { scalesByKeda } from '#cdk8s/constructs/scaling.ts';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import { isView, names, type PagePlan, type Platform, partitionsOf } from '#cdk8s/platform.ts';
import { type ConditionValue, no, yes } from '../../runtime/conditions.ts';
import type { ObservedPage } from '../gather.ts';
import { SCALED_OBJECT } from '../kinds.ts';
import { lacking } from '../plan.ts';
import type { Lag } from '../view-switch/view-switch.ts';
import { kedaSays } from './keda-says.ts';
import { serviceScaling } from './plan-services.ts';
import { sayScaledByOthers } from './scaled-by-others.ts';
import { decideReplicas, mostProjectors, type Recommendation } from './scaler.ts';

/** What to do about the number of projectors, and the condition that reports it. */
export interface Scaling {
  readonly condition: ConditionValue;
  readonly scaleTo: number | null;
  /** The projectors' Deployments, where the operator decides their number all the time. */
  readonly scaledByUs: readonly string[];
  readonly history: readonly Recommendation[];
}

/** Who decides the number of projectors, and the number itself where the operator decides. */
export function planScaling(
  { lag, snapshot, name, now }: ObservedPage,
  spec: PageViewSpec,
  platform: Platform,
  { projected, shown }: PagePlan,
  objects: readonly KubeObject[],
  history: readonly Recommendation[],
): Scaling {
  const { autoscaling, projector, replicas } = spec;
  const leave = (condition: ConditionValue): Scaling => ({
    condition,
    scaleTo: null,
    scaledByUs: [],
    history: [],
  });
  const projectors = projected.map((view) => names.projector(name, view));
  if (projected.length === 0) {
    return leave(no('NothingProjected', `delivery ${spec.delivery} has no projectors`));
  }
  if (autoscaling.mode === 'none') {
    const others = sayScaledByOthers(
      objects.filter(({ metadata }) => projectors.includes(metadata.name)),
      snapshot,
    );
    return leave(
      others ?? no('Off', `autoscaling.mode is none; spec.replicas decides, which is ${replicas}`),
    );
  }
  if (scalesByKeda(platform, spec)) {
    if (!platform.capabilities.keda) {
      const remedy = 'install KEDA, or set autoscaling.mode to auto or builtin';
      return leave(no('KedaMissing', lacking(['keda.sh/v1alpha1'], remedy)));
    }
    const [view] = projected;
    const scaled = snapshot.find({ ...SCALED_OBJECT, name: names.projector(name, view!) });
    return leave(kedaSays(scaled, 'lag of the consumer group'));
  }
  const limits = {
    maxReplicas: autoscaling.maxReplicas,
    partitions: partitionsOf(platform),
    maxDatabaseConnections: projector.maxDatabaseConnections,
  };
  // The view being built has as many projectors as the shown one: the larger lag counts.
  const known = worse(isView(shown) ? lag.shown : lag.building, lag.building);
  if (typeof known !== 'number') {
    const because = known?.unknown ?? 'nobody was asked yet';
    return {
      condition: no('LagUnknown', `how far the view is behind is not known: ${because}`),
      scaleTo: null,
      scaledByUs: projectors,
      history,
    };
  }
  const decided = decideReplicas({
    ...limits,
    now,
    lag: known,
    current: replicas,
    lagThreshold: autoscaling.lagThreshold,
    minReplicas: autoscaling.minReplicas,
    scaleDownStabilizationMs: autoscaling.scaleDownStabilizationSeconds * 1_000,
    history,
  });
  const most = mostProjectors(limits);
  const why = autoscaling.mode === 'auto' ? 'KEDA is not here' : 'autoscaling.mode is builtin';
  return {
    condition: yes(
      'BuiltIn',
      `the operator scales between ${Math.min(autoscaling.minReplicas, most.replicas)} and ${most.replicas} ` +
        `projectors (${most.because}), for ${why}`,
    ),
    scaleTo: decided.replicas === replicas ? null : decided.replicas,
    scaledByUs: projectors,
    history: decided.history,
  };
}

/** Who decides the number of a page's servers; nothing for a page that somebody else serves. */
export function planServerScaling(
  { name, snapshot }: Pick<ObservedPage, 'name' | 'snapshot'>,
  spec: PageViewSpec,
  platform: Platform,
  objects: readonly KubeObject[],
): Readonly<Record<string, ConditionValue>> {
  const server = serverOf(spec);
  if (server === null) return {};
  const deployment = names.page(name);
  const workloads = objects.filter(({ metadata }) => metadata.name === deployment);
  return { ServersAutoscalingReady: serviceScaling({ [deployment]: server }, workloads, snapshot, platform) };
}

const worse = (a: Lag | null, b: Lag | null): Lag | null =>
  typeof a === 'number' && typeof b === 'number' ? Math.max(a, b) : a;
