import type { PageViewSpec } from '../api/page-view.ts';
import type { Platform } from '../platform.ts';

/** Whether KEDA decides how many projectors there are. */
export const scalesByKeda = (
  { capabilities }: Pick<Platform, 'capabilities'>,
  { autoscaling }: Pick<PageViewSpec, 'autoscaling'>,
): boolean => autoscaling.mode === 'keda' || (autoscaling.mode === 'auto' && capabilities.keda);

/** More than one a partition would idle. */
export const projectorsAtMost = (
  { spec }: Pick<Platform, 'spec'>,
  { autoscaling }: Pick<PageViewSpec, 'autoscaling'>,
): number => Math.min(autoscaling.maxReplicas, spec.kafka.partitions);
