import type { PageViewSpec } from '../api/page-view.ts';
import { type Platform, partitionsOf } from '../platform.ts';

/** Whether KEDA decides the number of projectors. */
export const scalesByKeda = (
  { capabilities }: Pick<Platform, 'capabilities'>,
  { autoscaling }: Pick<PageViewSpec, 'autoscaling'>,
): boolean => autoscaling.mode === 'keda' || (autoscaling.mode === 'auto' && capabilities.keda);

/** Projectors beyond the number of partitions would be idle. */
export const projectorsAtMost = (
  platform: Pick<Platform, 'spec' | 'partitions'>,
  { autoscaling }: Pick<PageViewSpec, 'autoscaling'>,
): number => Math.min(autoscaling.maxReplicas, partitionsOf(platform));
