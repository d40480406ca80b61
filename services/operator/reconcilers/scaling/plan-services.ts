import type { ServiceAutoscaling } from '#cdk8s/api/service-autoscaling.ts';
import { scalerOf } from '#cdk8s/constructs/service-autoscaler.ts';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import type { Platform } from '#cdk8s/platform.ts';
import type { ClusterSnapshot } from '../../runtime/cluster-snapshot.ts';
import { type ConditionValue, conditionOf, no, yes } from '../../runtime/conditions.ts';
import type { StoredObject } from '../../runtime/kube.ts';
import { HORIZONTAL_POD_AUTOSCALER, SCALED_OBJECT } from '../kinds.ts';
import { lacking } from '../plan.ts';
import { kedaSays } from './keda-says.ts';
import { sayScaledByOthers } from './scaled-by-others.ts';

/** A service as its spec has it, by the name of its Deployment. */
export type Services = Readonly<Record<string, { readonly autoscaling: ServiceAutoscaling }>>;

/** What is not as it should be is told first. */
const ORDER = ['False', 'True'];

/**
 * Who decides how many pods services have: their autoscalers in their own words, somebody else, or the spec.
 * @param workloads the Deployments that are wanted
 */
export function serviceScaling(
  services: Services,
  workloads: readonly KubeObject[],
  snapshot: ClusterSnapshot,
  platform: Platform,
): ConditionValue {
  const said = Object.entries(services).flatMap(([name, { autoscaling }]) => {
    if (autoscaling.mode === 'none') return [];
    const { status, reason, message } = autoscalerSays(name, autoscaling, snapshot, platform);
    return [{ status, reason, message: `${name}: ${message}` }];
  });
  const others = sayScaledByOthers(workloads, snapshot);
  const all = [...said, ...(others ? [others] : [])].sort(
    (a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status),
  );
  const [first] = all;
  if (!first) return no('Off', 'the numbers of pods are those of the spec');
  return { ...first, message: all.map(({ message }) => message).join('; ') };
}

function autoscalerSays(
  name: string,
  autoscaling: ServiceAutoscaling,
  snapshot: ClusterSnapshot,
  platform: Platform,
): ConditionValue {
  const scaler = scalerOf(platform, autoscaling);
  if (scaler === 'HorizontalPodAutoscaler') {
    return autoscalerState(snapshot.find({ ...HORIZONTAL_POD_AUTOSCALER, name }), autoscaling);
  }
  if (scaler === 'ScaledObject') {
    return kedaSays(snapshot.find({ ...SCALED_OBJECT, name }), 'requests per second');
  }
  return platform.capabilities.keda
    ? no(
        'PrometheusMissing',
        'set monitoring.prometheusUrl in the TopClients, where KEDA asks for requests; or autoscaling.mode to cpu',
      )
    : no('KedaMissing', lacking(['keda.sh/v1alpha1'], 'install KEDA, or set autoscaling.mode to cpu'));
}

/** What the controller of Kubernetes says of an autoscaler. */
function autoscalerState(
  live: StoredObject | undefined,
  { maxReplicas }: ServiceAutoscaling,
): ConditionValue {
  if (!live) return no('AutoscalerNotReady', 'its autoscaler is not there yet');
  const able = conditionOf(live, 'AbleToScale');
  const active = conditionOf(live, 'ScalingActive');
  if (able?.status === 'False') {
    return no('AutoscalerNotReady', `it cannot be scaled: ${able.message ?? able.reason}`);
  }
  if (!active) return no('AutoscalerNotReady', 'its autoscaler has not said anything yet');
  if (active.status !== 'True') {
    const why = active.message ?? active.reason;
    const metrics = active.reason?.includes('Metric');
    return metrics
      ? no('MetricsMissing', `its use of CPU cannot be read; metrics-server brings it: ${why}`)
      : no('AutoscalerNotReady', `it is not scaled: ${why}`);
  }
  const limited = conditionOf(live, 'ScalingLimited');
  if (limited?.status === 'True' && limited.reason === 'TooManyReplicas') {
    return yes('AtMost', `more pods than autoscaling.maxReplicas, ${maxReplicas}, would be needed`);
  }
  const { currentReplicas = 0 } = (live.status ?? {}) as { readonly currentReplicas?: number };
  return yes('Autoscaled', `by use of CPU, ${currentReplicas} pods now, ${maxReplicas} at most`);
}
