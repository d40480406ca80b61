import { type ConditionValue, conditionOf, no, yes } from '../../runtime/conditions.ts';
import type { StoredObject } from '../../runtime/kube.ts';

/**
 * The condition that KEDA reports on its object.
 * @param by what it scales by
 */
export function kedaSays(scaled: StoredObject | undefined, by: string): ConditionValue {
  if (!scaled) return no('KedaNotReady', 'KEDA has not been told yet');
  const ready = conditionOf(scaled, 'Ready');
  const words = ready?.message ?? ready?.reason ?? 'it has not said anything yet';
  if (conditionOf(scaled, 'Paused')?.status === 'True')
    return no('KedaPaused', 'KEDA was told to pause this ScaledObject');
  if (ready?.status !== 'True') return no('KedaNotReady', `KEDA cannot scale: ${words}`);
  if (conditionOf(scaled, 'Fallback')?.status === 'True')
    return no('KedaFallback', `KEDA cannot read the ${by}, and keeps its fallback`);
  return yes('Keda', `KEDA scales by the ${by}`);
}
