import { z } from 'zod';
import { RANGES } from '#contracts/ranges.ts';
import { replicas, rules, section } from './shared.ts';

/** How many pods of a service run, by its load. */
export const serviceAutoscaling = () =>
  section({
    mode: z.enum(['none', 'cpu', 'requests']).default('none').meta({
      description:
        'none: replicas decides, and an autoscaler of yours is left alone; cpu: a HorizontalPodAutoscaler by use of the CPU request, which needs metrics-server; requests: KEDA by requests per second, which needs monitoring.prometheusUrl',
    }),
    minReplicas: replicas(2).meta({ description: 'Pods at least' }),
    maxReplicas: replicas(6).meta({ description: 'Pods at most' }),
    targetCpuPercent: z
      .int()
      .min(1)
      .max(2_000)
      .default(70)
      .meta({ description: 'cpu: use of the CPU request, in %, above which another pod is added' }),
    requestsPerSecond: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(100)
      .meta({ description: 'requests: requests per second and pod, above which another pod is added' }),
    scaleDownStabilizationSeconds: z
      .int()
      .min(0)
      .max(3_600)
      .default(300)
      .meta({ description: 'How long it has to be quiet before pods are taken away, in s' }),
    maxDatabaseConnections: z
      .int()
      .min(2)
      .max(10_000)
      .default(100)
      .meta({ description: 'What the database spares for these pods' }),
  }).meta({
    description: 'The number of pods by their load; replicas has no effect where it is on',
    ...rules({
      rule: 'self.minReplicas <= self.maxReplicas',
      message: 'autoscaling.minReplicas must not exceed autoscaling.maxReplicas',
    }),
  });
export type ServiceAutoscaling = z.output<ReturnType<typeof serviceAutoscaling>>;

/** The connections of a self-view pod, whose pool is the page server's own default, and the one that listens. */
export const SELF_VIEW_CONNECTIONS = RANGES.pageServer.databasePool.default + 1;

/**
 * The rule that all pods together fit into what the database spares.
 * @param each connections of one pod, as CEL or a number
 */
export const connectionsFit = (each: string | number) => ({
  rule: `self.autoscaling.mode == 'none' || self.autoscaling.maxReplicas * ${each} <= self.autoscaling.maxDatabaseConnections`,
  message:
    'autoscaling.maxReplicas pods would take more connections than autoscaling.maxDatabaseConnections; lower it or databasePool, or raise what the database spares',
});
