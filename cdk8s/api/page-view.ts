import { z } from 'zod';
import { replicas, resources, rules, section } from './shared.ts';

/** The pages the image knows; `services/pages/index.ts` is held equal to it by a spec. */
export const PAGE_NAMES = ['gig', 'user', 'search'] as const;
export type PageName = (typeof PAGE_NAMES)[number];

/** One page: how it gets the data, and what serves and projects it. Its name is the page's. */
export const PageViewSpec = section({
  delivery: z.enum(['asynchronous', 'hybrid', 'synchronous', 'off']).default('asynchronous'),
  parallel: z
    .boolean()
    .optional()
    .meta({
      description: 'synchronous only: ask the source while the page reads its own database (the default)',
    }),
  replicas: z
    .int()
    .min(1)
    .max(1_000)
    .default(1)
    .meta({ description: 'Projectors. An autoscaler writes this field; set it yourself only without one' }),
  autoscaling: section({
    mode: z
      .enum(['auto', 'keda', 'builtin', 'none'])
      .default('auto')
      .meta({ description: 'auto: KEDA where its API exists, the operator itself otherwise' }),
    minReplicas: replicas(1),
    maxReplicas: replicas(6),
    lagThreshold: z
      .int()
      .min(1)
      .default(1_000)
      .meta({ description: 'Records behind, per projector, above which another is added' }),
    scaleDownStabilizationSeconds: z.int().min(0).max(3_600).default(300),
    pollingSeconds: z.int().min(1).max(300).default(15),
  }).meta(
    rules({
      rule: 'self.minReplicas <= self.maxReplicas',
      message: 'autoscaling.minReplicas must not exceed autoscaling.maxReplicas',
    }),
  ),
  view: section({
    version: z
      .int()
      .min(1)
      .max(1_000_000)
      .default(1)
      .meta({
        description: 'A new version is built beside the old one and takes over when it matches the source',
      }),
    keepSeconds: z
      .int()
      .min(0)
      .max(2_592_000)
      .default(3_600)
      .meta({ description: 'How long the version before stays ready for a rollback' }),
  }),
  server: section({
    replicas: replicas(2),
    resources: resources('100m', '256Mi'),
    databasePool: z.int().min(1).max(500).default(10),
    sourceDeadlineMs: z.int().min(1).max(10_000).default(150),
    pageDeadlineMs: z.int().min(100).max(60_000).default(1_000),
    sourceConcurrency: z.int().min(1).max(1_000).default(64),
  }).meta(
    rules({
      rule: 'self.pageDeadlineMs >= self.sourceDeadlineMs + 100',
      message: 'server.pageDeadlineMs must be at least 100 more than server.sourceDeadlineMs',
    }),
  ),
  projector: section({
    resources: resources('100m', '256Mi'),
    sessionTimeoutMs: z.int().min(1_000).max(300_000).default(6_000),
    maxDatabaseConnections: z
      .int()
      .min(3)
      .max(10_000)
      .default(60)
      .meta({ description: 'What the page database spares for projectors; each takes three' }),
  }),
}).meta(
  rules(
    {
      rule: "!has(self.parallel) || self.delivery == 'synchronous'",
      message: 'parallel belongs to delivery synchronous; remove it or set delivery: synchronous',
    },
    {
      rule: 'self.autoscaling.maxReplicas * 3 <= self.projector.maxDatabaseConnections',
      message:
        'autoscaling.maxReplicas needs three database connections each; lower it or raise projector.maxDatabaseConnections',
    },
    {
      rule: 'self.replicas * 3 <= self.projector.maxDatabaseConnections',
      message:
        'replicas need three database connections each; lower it or raise projector.maxDatabaseConnections',
    },
  ),
);
export type PageViewSpec = z.output<typeof PageViewSpec>;

export const PageViewRules = rules({
  rule: `self.metadata.name in [${PAGE_NAMES.map((name) => `'${name}'`).join(', ')}]`,
  message: `a PageView has the name of a page this version knows: ${PAGE_NAMES.join(', ')}`,
});

/** A view that pages can read: the rows of one delivery in one version. */
export const ViewId = z.strictObject({
  delivery: z.enum(['asynchronous', 'hybrid']),
  version: z.int(),
});
export type ViewId = z.output<typeof ViewId>;

/** A condition as Kubernetes writes it. */
export const Condition = z.strictObject({
  type: z.string(),
  status: z.enum(['True', 'False', 'Unknown']),
  reason: z.string(),
  message: z.string(),
  observedGeneration: z.int().optional(),
  lastTransitionTime: z.string(),
});
export type Condition = z.output<typeof Condition>;

export const PageViewStatus = z.strictObject({
  observedGeneration: z.int().optional(),
  conditions: z.array(Condition).optional(),
  ready: z.string().optional().meta({ description: 'Servers ready of those wanted, as 2/2' }),
  replicas: z.int().optional().meta({ description: 'Projectors that run' }),
  selector: z.string().optional().meta({ description: 'Of the projectors, for autoscalers' }),
  lag: z.int().optional().meta({ description: 'Records the shown view is behind' }),
  view: z
    .string()
    .optional()
    .meta({ description: 'The view shown, and what is being built, as v1 → v2 80 %' }),
  /** What the pages show now. */
  shown: ViewId.optional(),
  /** What is being built to take over. */
  building: ViewId.extend({
    startedAt: z.string(),
    startLag: z.int().optional(),
    lag: z.int().optional(),
    comparedAt: z.string().optional(),
    differing: z.int().optional(),
  }).optional(),
  /** What stays for a rollback. */
  kept: z.array(ViewId.extend({ until: z.string() })).optional(),
});
export type PageViewStatus = z.output<typeof PageViewStatus>;

export const TopClientsStatus = z.strictObject({
  observedGeneration: z.int().optional(),
  conditions: z.array(Condition).optional(),
  image: z.string().optional(),
  ready: z.string().optional().meta({ description: 'Workloads ready of those wanted, as 5/5' }),
});
export type TopClientsStatus = z.output<typeof TopClientsStatus>;
