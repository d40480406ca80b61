import { z } from 'zod';
import { EXTERNAL_PAGE_NAME, ExternalPageName, PAGE_NAMES, RESERVED_PAGE_NAMES } from '#contracts/pages.ts';
import { RANGES } from '#contracts/ranges.ts';
import { external } from './external-page.ts';
import { podOf } from './pod-settings.ts';
import { resourcesOf } from './recommended.ts';
import { connectionsFit, serviceAutoscaling } from './service-autoscaling.ts';
import { DATABASE_SERVERS, numberIn, replicas, rules, section } from './shared.ts';

/** Each projector has a connection that reads, one that writes and one for its checkpoint. */
export const PROJECTOR_CONNECTIONS = 3;

/** What serves a page of ours. No default: `external` refuses it, also one that nobody wrote. */
const PageServerSpec = z
  .strictObject({
    replicas: replicas(2).meta({ description: 'Pods that serve the page' }),
    autoscaling: serviceAutoscaling(),
    resources: resourcesOf('page server'),
    databasePool: numberIn(RANGES.pageServer.databasePool).meta({
      description:
        "Connections of each pod to the page's database, at most, beside one that listens to change notifications",
    }),
    sourceDeadlineMs: numberIn(RANGES.pageServer.sourceDeadlineMs).meta({
      description: 'How long a call to the source may take, in ms',
    }),
    pageDeadlineMs: numberIn(RANGES.pageServer.pageDeadlineMs).meta({
      description: 'How long a page may take in all, in ms',
    }),
    sourceConcurrency: numberIn(RANGES.pageServer.sourceConcurrency).meta({
      description: 'Calls of each pod to the source at the same time; as many again may wait',
    }),
    versionCallsPerMinute: numberIn(RANGES.pageServer.versionCallsPerMinute).meta({
      description:
        'Calls to the source that a client may cause in a minute by a minVersion the page does not have; 0 for any number',
    }),
    pod: podOf('its pods'),
  })
  .meta({
    description: 'What serves the page; not for a page of yours, which has a server of its own',
    ...rules(
      {
        rule: 'self.pageDeadlineMs >= self.sourceDeadlineMs + 100',
        message: 'server.pageDeadlineMs must be at least 100 more than server.sourceDeadlineMs',
      },
      connectionsFit('(self.databasePool + 1)'),
    ),
  });
export type PageServerSpec = z.output<typeof PageServerSpec>;

/** One page: how it gets the data, its servers and its projectors. The resource has the page's name. */
export const PageViewSpec = section({
  delivery: z
    .enum(['asynchronous', 'hybrid', 'synchronous', 'off'])
    .default('asynchronous')
    .meta({
      description:
        "How the page gets the data. asynchronous: the full list through Kafka into the page's database; " +
        'hybrid: ids through Kafka, the rest from the source; synchronous: all from the source; "off", in quotes, for YAML takes it for false otherwise: not at all',
    }),
  parallel: z.boolean().optional().meta({
    description: 'synchronous only: ask the source while the page reads its own database (the default)',
  }),
  replicas: z
    .int()
    .min(1)
    .max(1_000)
    .default(1)
    .meta({ description: 'Projectors. An autoscaler writes this field; set it yourself only without one' }),
  autoscaling: section({
    mode: z.enum(['auto', 'keda', 'builtin', 'none']).default('auto').meta({
      description:
        'auto: KEDA where its API exists, the operator itself otherwise; none: replicas stays as it is',
    }),
    minReplicas: replicas(1).meta({ description: 'Projectors at least' }),
    maxReplicas: replicas(6).meta({
      description: 'Projectors at most; more than the topic has partitions would idle, and are refused',
    }),
    lagThreshold: z
      .int()
      .min(1)
      .max(1_000_000_000)
      .default(1_000)
      .meta({ description: 'Records behind, per projector, above which another is added' }),
    scaleDownStabilizationSeconds: z
      .int()
      .min(0)
      .max(3_600)
      .default(300)
      .meta({ description: 'How long it has to be quiet before projectors are taken away, in s' }),
    pollingSeconds: z.int().min(1).max(300).default(15).meta({ description: 'How often to look, in s' }),
  }).meta({
    description: 'Projectors by how far they are behind',
    ...rules({
      rule: 'self.minReplicas <= self.maxReplicas',
      message: 'autoscaling.minReplicas must not exceed autoscaling.maxReplicas',
    }),
  }),
  view: section({
    version: numberIn(RANGES.view.version).meta({
      description: 'A new version is built beside the old one and takes over when it matches the source',
    }),
    keepSeconds: z
      .int()
      .min(0)
      .max(2_592_000)
      .default(3_600)
      .meta({ description: 'How long the version before stays ready for a rollback, in s' }),
  }).meta({ description: "The page's own copy of the data" }),
  server: PageServerSpec.optional(),
  projector: section({
    resources: resourcesOf('projector'),
    sessionTimeoutMs: numberIn(RANGES.projector.sessionTimeoutMs).meta({
      description:
        'After this long without a sign of life others take over its partitions, in ms; it starts anew when one of them stands still three times as long',
    }),
    maxDatabaseConnections: z
      .int()
      .min(3)
      .max(10_000)
      .default(60)
      .meta({ description: 'What the page database spares for projectors; each takes three' }),
    pod: podOf('its pods'),
  }).meta({ description: "What brings the data into the page's database" }),
  watch: section({
    enabled: z.boolean().default(true).meta({
      description:
        'Whether the view shown, and those kept for a rollback, are compared with the source all the time',
    }),
    repair: z.boolean().default(true).meta({
      description: 'Whether rows that differ are sent again; false only reports them',
    }),
    sellersPerSecond: numberIn(RANGES.watch.sellersPerSecond).meta({
      description: 'How fast it compares, at most; a million sellers take 500 s at 2000',
    }),
    resources: resourcesOf('watcher'),
    pod: podOf('its pod'),
  }).meta({ description: 'What finds rows that differ from the source, and has them repaired' }),
  external: external.optional(),
  deletionPolicy: z.enum(['Retain', 'Delete']).default('Retain').meta({
    description:
      "What becomes of the views in the page's database when this resource is deleted. Retain: they stay as they are. Delete: what was made there is removed first, and nothing else; delete the page before the operator then",
  }),
}).meta({
  description: 'What the page shall be',
  ...rules(
    {
      rule: '!has(self.external) || !has(self.server)',
      message:
        'server is for pages that Top Clients serves itself, and a page with external has a server of its own; remove server',
    },
    {
      rule: "!has(self.external) || self.delivery == 'asynchronous' || self.delivery == 'hybrid'",
      message:
        'a page with external reads a view in its own database; set delivery to asynchronous or hybrid. One that asks the source at every visit needs no PageView',
    },
    {
      rule: "!has(self.parallel) || self.delivery == 'synchronous'",
      message: 'parallel belongs to delivery synchronous; remove it or set delivery: synchronous',
    },
    {
      rule: `self.autoscaling.maxReplicas * ${PROJECTOR_CONNECTIONS} <= self.projector.maxDatabaseConnections`,
      message:
        'autoscaling.maxReplicas needs three database connections each; lower it or raise projector.maxDatabaseConnections',
    },
    {
      rule: `self.replicas * ${PROJECTOR_CONNECTIONS} <= self.projector.maxDatabaseConnections`,
      message:
        'replicas need three database connections each; lower it or raise projector.maxDatabaseConnections',
    },
  ),
});
export type PageViewSpec = z.output<typeof PageViewSpec>;

/** What serves a page: null where that is not ours to run. */
export const serverOf = ({
  external,
  server,
}: Pick<PageViewSpec, 'external' | 'server'>): PageServerSpec | null =>
  external === undefined ? (server ?? PageServerSpec.parse({})) : null;

/** Why a platform of that profile should not have this page; null when it may. */
export function tooFewServers(page: PageViewSpec, profile: 'production' | 'demo'): string | null {
  const server = serverOf(page);
  if (profile !== 'production' || server === null) return null;
  const scales = server.autoscaling.mode !== 'none';
  const least = scales ? server.autoscaling.minReplicas : server.replicas;
  return least === 1 ? `server.${scales ? 'autoscaling.minReplicas' : 'replicas'} ${TOO_FEW_SERVERS}` : null;
}
export const TOO_FEW_SERVERS =
  'is 1, but profile production needs two at least, for one is gone whenever its node is; set it to 2 or more';

/** Why a page of this name cannot have this spec, as `PageViewRules` say in the API server; null when it can. */
export function misnamed(name: string, { external }: Pick<PageViewSpec, 'external'>): string | null {
  if ((PAGE_NAMES as readonly string[]).includes(name) === (external !== undefined)) return NOT_OURS;
  return external === undefined || ExternalPageName.safeParse(name).success ? null : NOT_YOURS;
}
const NOT_OURS = `${PAGE_NAMES.join(', ')} are served by Top Clients, without external; a page of yours has a name of its own, and external`;
const NOT_YOURS = `the name of a page of yours has at most 19 lower-case letters, digits and hyphens, begins with a letter, and is none of ${RESERVED_PAGE_NAMES.join(', ')}`;

const listed = (names: readonly string[]) => `[${names.map((name) => `'${name}'`).join(', ')}]`;
const ours = `self.metadata.name in ${listed(PAGE_NAMES)}`;
const isExternal = 'has(self.spec) && has(self.spec.external)';

export const PageViewRules = rules(
  {
    rule: `(${ours}) != (${isExternal})`,
    message: NOT_OURS,
  },
  {
    rule: `!(${isExternal}) || (self.metadata.name.matches('${EXTERNAL_PAGE_NAME.source}') && !(self.metadata.name in ${listed(RESERVED_PAGE_NAMES)}))`,
    message: NOT_YOURS,
  },
);

/** A view that pages can read: the rows of one delivery at one view version. */
export const ViewId = z.strictObject({
  delivery: z.enum(['asynchronous', 'hybrid']).meta({ description: 'What its rows hold: lists, or ids' }),
  version: z.int().meta({ description: 'As in spec.view.version' }),
});
export type ViewId = z.output<typeof ViewId>;

/** The view that a page shows. */
export const ShownViewId = ViewId.extend({
  since: z.string().optional().meta({ description: 'When it took over from another one' }),
});
export type ShownViewId = z.output<typeof ShownViewId>;

/** A condition as Kubernetes writes it. */
export const Condition = z.strictObject({
  type: z.string().meta({ description: 'What it is about, as Ready' }),
  status: z.enum(['True', 'False', 'Unknown']).meta({ description: 'Whether that holds' }),
  reason: z.string().meta({ description: 'Why, in one word for programs' }),
  message: z.string().meta({ description: 'Why, in a sentence for people, with what to change' }),
  observedGeneration: z.int().optional().meta({ description: 'The generation of the spec it speaks of' }),
  lastTransitionTime: z.string().meta({ description: 'When the status last changed', format: 'date-time' }),
});
export type Condition = z.output<typeof Condition>;

/** One condition of a type: writers of different types do not overwrite each other. */
const conditions = z.array(Condition).meta({
  description: 'What holds and what does not, each with its reason',
  'x-kubernetes-list-type': 'map',
  'x-kubernetes-list-map-keys': ['type'],
});

const observedGeneration = z
  .int()
  .meta({ description: 'The generation of the spec that this status speaks of' });

export const PageViewStatus = z
  .strictObject({
    observedGeneration: observedGeneration.optional(),
    conditions: conditions.optional(),
    ready: z
      .string()
      .optional()
      .meta({ description: 'Servers ready of those wanted, as 2/2; of a page of yours, projectors' }),
    replicas: z.int().optional().meta({ description: 'Projectors that run' }),
    selector: z.string().optional().meta({ description: 'Of the projectors, for autoscalers' }),
    lag: z.int().optional().meta({ description: 'Records the shown view is behind' }),
    view: z
      .string()
      .optional()
      .meta({ description: 'The view shown, and what is being built, as v1 → v2 80 %' }),
    shown: ShownViewId.optional().meta({ description: 'What the pages show now' }),
    building: ViewId.extend({
      startedAt: z.string().meta({ description: 'When building began' }),
      keptUntil: z
        .string()
        .optional()
        .meta({ description: 'A rollback: the view stands, and was to be removed then' }),
      startLag: z.int().optional().meta({ description: 'Records it had to read at first' }),
      lag: z.int().optional().meta({ description: 'Records it still has to read' }),
      comparedAt: z.string().optional().meta({ description: 'When it was last compared with the source' }),
      differing: z.int().optional().meta({ description: 'Sellers whose rows differed then' }),
    })
      .optional()
      .meta({ description: 'What is being built to take over' }),
    kept: z
      .array(
        ViewId.extend({ until: z.string().meta({ description: 'When it is removed' }) }).meta({
          description: 'A view that was shown before',
        }),
      )
      .optional()
      .meta({ description: 'What stays for a rollback' }),
  })
  .meta({ description: 'What the page is now, as the operator sees it' });
export type PageViewStatus = z.output<typeof PageViewStatus>;

const UnshownView = ViewId.extend({ page: z.string().meta({ description: 'Its name' }) }).meta({
  description: 'A view of a page',
});
export type UnshownView = z.output<typeof UnshownView>;

export const TopClientsStatus = z
  .strictObject({
    observedGeneration: observedGeneration.optional(),
    conditions: conditions.optional(),
    image: z.string().optional().meta({ description: 'The image that all roles run' }),
    ready: z.string().optional().meta({ description: 'Workloads ready of those wanted, as 5/5' }),
    partitions: z.int().optional().meta({ description: 'By how many partitions messages are divided' }),
    databaseServers: z.enum(DATABASE_SERVERS).optional().meta({
      description: 'How databases are divided among servers, decided when the platform was installed',
    }),
    unshown: z.array(UnshownView).optional().meta({
      description: 'Views that pages build and have not shown: removed when the page is deleted meanwhile',
    }),
    growth: z
      .strictObject({
        from: z.int().meta({ description: 'Partitions before' }),
        to: z.int().meta({ description: 'Partitions afterwards' }),
        sellersDone: z.int().meta({ description: 'Sellers that were looked at' }),
        sellers: z.int().meta({ description: 'Sellers there are; 0 before it has begun' }),
      })
      .optional()
      .meta({ description: 'While the topic gets more partitions' }),
    republish: z
      .strictObject({
        request: z.string().meta({ description: 'The value of the annotation' }),
        startedAt: z.string().meta({ description: 'When it was first seen' }),
        sellersDone: z.int().optional().meta({ description: 'Sellers published again' }),
        sellers: z.int().optional().meta({ description: 'Sellers there are' }),
        finishedAt: z.string().optional().meta({ description: 'When every seller was in the outbox' }),
      })
      .optional()
      .meta({ description: 'The last time that all sellers were published again' }),
    restored: z
      .strictObject({
        request: z.string().meta({ description: 'The value of the annotation' }),
        startedAt: z.string().meta({ description: 'When it was first seen' }),
        finishedAt: z
          .string()
          .optional()
          .meta({ description: 'When nothing that was published was ahead of the source any more' }),
      })
      .optional()
      .meta({ description: 'The last time that the source was restored to an earlier point' }),
  })
  .meta({ description: 'What the platform is now, as the operator sees it' });
export type TopClientsStatus = z.output<typeof TopClientsStatus>;
