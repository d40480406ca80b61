import { z } from 'zod';
import { PAGE_NAMES } from '#contracts/pages.ts';
import { RANGES } from '#contracts/ranges.ts';
import { PageViewSpec } from './page-view.ts';
import { labels as furtherLabels, podOf } from './pod-settings.ts';
import { resourcesOf } from './recommended.ts';
import { imagePull, NAMESPACE_NAME, numberIn, objectName, replicas, secretKey, section } from './shared.ts';
import { TopClientsSpec } from './top-clients.ts';

const ownImage = section({
  repository: z
    .string()
    .min(1)
    .default('top-clients')
    .meta({ description: 'Registry and name, without tag' }),
  tag: z.string().default('').meta({ description: "The chart's appVersion when empty" }),
  digest: z
    .string()
    .regex(/^(sha256:[0-9a-f]{64})?$/, 'must be sha256: and 64 hexadecimal digits')
    .default('')
    .meta({ description: 'Wins over the tag' }),
  ...imagePull,
}).meta({ description: 'The one image, of the operator and of every role' });

const labels = z.record(z.string(), z.string()).default({});

const operator = section({
  enabled: z.boolean().default(true).meta({
    description: 'Whether to bring it; false: one that is installed elsewhere works in this namespace',
  }),
  replicas: replicas(2).meta({ description: 'Pods; one leads, the others take over within seconds' }),
  logLevel: z
    .enum(['debug', 'info', 'warn', 'error'])
    .default('info')
    .meta({ description: 'Of the operator' }),
  resyncSeconds: numberIn(RANGES.operator.resyncSeconds).meta({
    description:
      'How long an object is left alone when nothing changes, in s; watches report changes at once',
  }),
  resources: resourcesOf('operator'),
  pod: podOf('its pods'),
  podLabels: labels.meta({ description: 'Further labels of its pods; as pod.labels' }),
  podAnnotations: labels.meta({ description: 'Further annotations of its pods; as pod.annotations' }),
  nodeSelector: labels.meta({ description: 'Labels of the nodes to run on; as pod.nodeSelector' }),
  tolerations: z
    .array(z.record(z.string(), z.unknown()))
    .default([])
    .meta({ description: 'As pod.tolerations' }),
  priorityClassName: z.string().default('').meta({ description: 'As pod.priorityClassName' }),
}).meta({ description: 'What turns the custom resources into everything else' });

const chartName = (description: string) =>
  z
    .string()
    .regex(
      /^([a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?)?$/,
      'must be at most 40 lower-case letters, digits and hyphens',
    )
    .default('')
    .meta({ description });

const smokeTest = section({
  enabled: z.boolean().default(true).meta({ description: 'Whether `helm test` has something to run' }),
  sellerId: z
    .int()
    .min(1)
    .default(1)
    .meta({ description: 'The seller whose list gets a client for a moment' }),
  gigId: z
    .int()
    .min(1)
    .default(1)
    .meta({ description: "A gig of that seller's, in the gig page's own data" }),
  deadlineSeconds: z.int().min(1).max(600).default(60).meta({ description: 'For all of it, in s' }),
  existingSecret: objectName.optional().meta({
    description:
      "Holds a token of that seller; without one the demo's issuer is asked, or the test only reads",
  }),
  tokenKey: secretKey.default('token').meta({ description: 'Its key with the token' }),
  pod: podOf('its pod'),
}).meta({ description: 'What `helm test` does: write a client, wait to see it on the gig page, remove it' });

const dashboards = section({
  enabled: z.boolean().default(true).meta({
    description: 'Whether to bring them; where two installations share a Grafana, let one of them do it',
  }),
  labels: z
    .record(z.string(), z.string().max(63))
    .default({ grafana_dashboard: '1' })
    .meta({ description: "That Grafana's sidecar selects by" }),
  annotations: z
    .record(z.string(), z.string())
    .default({ grafana_folder: 'Top Clients' })
    .meta({ description: 'Of each ConfigMap; this one is what the sidecar takes the folder from' }),
}).meta({ description: "Dashboards for Grafana's sidecar, a ConfigMap each" });
export type Dashboards = z.output<typeof dashboards>;

const page = (name: string) =>
  PageViewSpec.unwrap()
    .nullable()
    .optional()
    .meta({ description: `The PageView ${name}; null: not deployed` });

/** The values of the chart. What is below `topClients` and `pages` is copied into the custom resources. */
export const ChartValues = z
  .strictObject({
    image: ownImage,
    operator,
    watchNamespaces: z
      .array(
        z
          .string()
          .regex(new RegExp(`^(\\*|${NAMESPACE_NAME})$`), 'must be the name of a namespace, or * for all'),
      )
      .default([])
      .meta({
        description:
          "Where the operator works, its own namespace among them if that has a platform; ['*'] for all, by rights on cluster level; its own alone when empty",
      }),
    platform: section({
      enabled: z.boolean().default(true).meta({
        description: 'Whether to bring it; false: the operator alone, for platforms of other namespaces',
      }),
    }).meta({ description: 'The TopClients and the PageViews, and what belongs to them' }),
    topClients: TopClientsSpec,
    pages: z
      .object(Object.fromEntries(PAGE_NAMES.map((name) => [name, page(name)])))
      // A misspelt name is refused, because only a page of one's own has `external`.
      .catchall(PageViewSpec.unwrap().required({ external: true }).nullable())
      .prefault({})
      .meta({
        description:
          'The pages to deploy, each with the spec of its PageView; further ones are yours, with `external`',
      }),
    admissionPolicy: section({
      enabled: z.boolean().default(true).meta({
        description: 'Refuse more projectors than the topic has partitions; needs rights on cluster level',
      }),
    }).meta({ description: 'A ValidatingAdmissionPolicy for this namespace' }),
    deletionGuard: section({
      enabled: z.boolean().default(true).meta({
        description:
          'Refuse to delete volume claims, clusters, topics and passwords of databases unless they are annotated topclients.dev/allow-deletion=true; needs rights on cluster level',
      }),
    }).meta({ description: 'A ValidatingAdmissionPolicy for what holds data in this namespace' }),
    dashboards,
    test: smokeTest,
    commonLabels: furtherLabels(
      'Of every object and pod, of the chart and of what the operator makes; in no selector',
    ),
    nameOverride: chartName('What names of the objects of the chart begin with; top-clients when empty'),
    fullnameOverride: chartName('The same, and wins. What the operator makes has names of its own'),
    rbac: section({
      create: z.boolean().default(true).meta({
        description: "Whether to bring the operator's rights; false: somebody gives them to its account",
      }),
    }).meta({ description: 'Roles and bindings' }),
    serviceAccount: section({
      create: z.boolean().default(true).meta({ description: 'Whether to make it' }),
      name: objectName.or(z.literal('')).default('').meta({ description: 'That of the operator when empty' }),
      annotations: z.record(z.string(), z.string()).default({}).meta({ description: 'Of it' }),
    }).meta({ description: "The account of the operator's pods" }),
    crds: section({
      enabled: z.boolean().default(true).meta({
        description:
          "Whether the operator brings the two definitions to its version, by a right on cluster level; false: they are yours to bring. Helm's part of it is `--skip-crds`. They are always kept on uninstall",
      }),
    }).meta({ description: 'The two definitions' }),
    global: z
      .looseObject({
        imageRegistry: z.string().optional().meta({
          description: 'Takes the place of the registry of every image, those of embedded stores too',
        }),
        imagePullSecrets: z
          .array(z.union([objectName, z.looseObject({ name: objectName })]))
          .optional()
          .meta({ description: 'For every pod, beside image.pullSecrets; names, or maps with a name' }),
      })
      .optional()
      .meta({
        description:
          'As other charts have it. What else stands there is refused, unless this is a part of another chart',
      }),
  })
  .meta({ title: 'Values of the chart top-clients' });
export type ChartValues = z.output<typeof ChartValues>;
