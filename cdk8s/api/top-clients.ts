import { z } from 'zod';
import { objectName, replicas, resources, rules, secretKey, section, storage } from './shared.ts';

/** There is one platform in a namespace, and this is its name. */
export const PLATFORM_NAME = 'top-clients';

export const Image = z
  .strictObject({
    repository: z.string().min(1).default('top-clients'),
    tag: z.string().min(1).optional(),
    digest: z
      .string()
      .regex(/^sha256:[0-9a-f]{64}$/)
      .optional()
      .meta({ description: 'Wins over the tag' }),
    pullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']).default('IfNotPresent'),
    pullSecrets: z.array(objectName).default([]),
  })
  .meta({ description: "The image of every role; the operator's own when absent" });

const Kafka = section({
  mode: z
    .enum(['embedded', 'strimzi', 'external'])
    .default('embedded')
    .meta({
      description:
        'embedded: one broker, for development; strimzi: a cluster by that operator; external: yours',
    }),
  partitions: z.int().min(1).max(1_000).default(12).meta({ description: 'Of the topic, when it is created' }),
  replication: z
    .int()
    .min(1)
    .max(9)
    .default(1)
    .meta({ description: 'Copies of the topic, when it is created' }),
  embedded: section({
    image: z.string().min(1).default('apache/kafka:4.3.1'),
    replicas: replicas(1),
    storage: storage('8Gi'),
    resources: resources('250m', '1Gi'),
  }),
  strimzi: section({
    version: z.string().optional().meta({ description: "Kafka's version; Strimzi's default when absent" }),
    replicas: replicas(3),
    minInsyncReplicas: z.int().min(1).max(9).default(2),
    storage: storage('50Gi'),
    resources: resources('500m', '2Gi'),
  }),
  external: section({
    brokers: z.array(z.string().regex(/^[^\s:]+:\d+$/, 'must be host:port')).default([]),
    createTopic: z
      .boolean()
      .default(true)
      .meta({ description: 'false: the topic is there already, leave it alone' }),
    tls: z
      .strictObject({
        enabled: z.boolean().default(true),
        existingSecret: objectName.optional(),
        caKey: secretKey.default('ca.crt'),
      })
      .optional()
      .meta({ description: 'The secret holds the certificates to trust; public ones need none' }),
    sasl: z
      .strictObject({
        mechanism: z.enum(['plain', 'scram-sha-256', 'scram-sha-512']),
        existingSecret: objectName,
        usernameKey: secretKey.default('username'),
        passwordKey: secretKey.default('password'),
      })
      .optional(),
  }),
}).meta(
  rules(
    {
      rule: "self.mode != 'embedded' || self.embedded.replicas == 1",
      message: 'embedded Kafka is one broker for development; for more set kafka.mode to strimzi or external',
    },
    {
      rule: "self.mode != 'embedded' || self.replication == 1",
      message:
        'embedded Kafka keeps one copy; set kafka.replication to 1, or kafka.mode to strimzi or external',
    },
    {
      rule: "self.mode != 'external' || size(self.external.brokers) > 0",
      message: 'kafka.mode external needs kafka.external.brokers, a list of host:port',
    },
    {
      rule: "self.mode != 'strimzi' || self.replication <= self.strimzi.replicas",
      message: 'kafka.replication must not exceed kafka.strimzi.replicas',
    },
    {
      rule: "self.mode != 'strimzi' || self.strimzi.minInsyncReplicas <= self.strimzi.replicas",
      message: 'kafka.strimzi.minInsyncReplicas must not exceed kafka.strimzi.replicas',
    },
  ),
);

const Postgres = section({
  mode: z
    .enum(['embedded', 'cnpg', 'external'])
    .default('embedded')
    .meta({
      description: 'embedded: one server, for development; cnpg: a CloudNativePG cluster; external: yours',
    }),
  embedded: section({
    image: z.string().min(1).default('postgres:18'),
    replicas: replicas(1),
    storage: storage('8Gi'),
    resources: resources('250m', '512Mi'),
    maxConnections: z.int().min(20).max(10_000).default(200),
    existingSecret: objectName
      .optional()
      .meta({ description: 'Holds `username` and `password`; the operator makes one when absent' }),
  }),
  cnpg: section({
    instances: replicas(3),
    image: z.string().optional(),
    storage: storage('50Gi'),
    resources: resources('500m', '2Gi'),
    maxConnections: z.int().min(20).max(10_000).default(300),
  }),
  external: section({
    existingSecret: objectName
      .optional()
      .meta({ description: 'Holds one address a database, postgresql://user:password@host:5432/name' }),
    keys: section({
      source: secretKey.default('source-url'),
      gig: secretKey.default('gig-url'),
      user: secretKey.default('user-url'),
      search: secretKey.default('search-url'),
      selfView: secretKey.default('self-view-url'),
    }),
  }),
}).meta(
  rules(
    {
      rule: "self.mode != 'embedded' || self.embedded.replicas == 1",
      message:
        'embedded PostgreSQL is one server for development; for more set postgres.mode to cnpg or external',
    },
    {
      rule: "self.mode != 'external' || has(self.external.existingSecret)",
      message:
        'postgres.mode external needs postgres.external.existingSecret, a secret with an address for each database',
    },
  ),
);

const Auth = section({
  demoIssuer: z
    .boolean()
    .default(true)
    .meta({ description: 'Runs an issuer that signs in anybody as any seller; for demonstrations only' }),
  issuer: z.string().min(1).optional().meta({ description: 'The only issuer whose tokens are accepted' }),
  audience: z.string().min(1).default('top-clients'),
  jwksUrl: z
    .string()
    .regex(/^https?:\/\//, 'must be an http address')
    .optional(),
  algorithms: z
    .array(z.enum(['ES256', 'RS256', 'EdDSA']))
    .min(1)
    .default(['ES256']),
}).meta(
  rules(
    {
      rule: 'self.demoIssuer || (has(self.issuer) && has(self.jwksUrl))',
      message: 'set auth.issuer and auth.jwksUrl, or auth.demoIssuer for a demonstration',
    },
    {
      rule: '!self.demoIssuer || (!has(self.issuer) && !has(self.jwksUrl))',
      message:
        'auth.demoIssuer brings an issuer of its own; remove auth.issuer and auth.jwksUrl, or set it to false',
    },
  ),
);

/** The platform: what owns the data and what carries it. One a namespace. */
export const TopClientsSpec = section({
  image: Image.optional(),
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info'),
  kafka: Kafka,
  postgres: Postgres,
  auth: Auth,
  demoData: section({
    enabled: z
      .boolean()
      .default(false)
      .meta({ description: 'Fills the databases with made-up sellers, gigs and users' }),
    sellers: z.int().min(1).max(900_000).default(1_000),
  }),
  source: section({
    replicas: replicas(2),
    resources: resources('100m', '256Mi'),
    databasePool: z.int().min(1).max(1_000).default(16),
    writesPerMinute: z.int().min(0).default(300),
    requestsPerMinute: z.int().min(0).default(1_200),
    trustedProxies: z.array(z.string()).default([]),
  }).meta({ description: 'The service that owns the data' }),
  relay: section({
    replicas: replicas(2),
    shards: z.int().min(1).max(64).default(1),
    resources: resources('100m', '256Mi'),
  }),
  selfView: section({
    enabled: z.boolean().default(true),
    replicas: replicas(2),
    resources: resources('100m', '256Mi'),
  }),
  publicUrls: section({
    gig: z.string().optional(),
    user: z.string().optional(),
    search: z.string().optional(),
    selfView: z.string().optional(),
  }).meta({ description: 'Where browsers find the pages, for the links between them' }),
  networkPolicies: section({
    enabled: z.boolean().default(true),
    pagesFrom: z
      .array(z.strictObject({ namespace: z.string().min(1) }))
      .default([])
      .meta({
        description: 'Namespaces that may call pages and API, such as that of the ingress; any when empty',
      }),
    scrapersFrom: z
      .array(z.strictObject({ namespace: z.string().min(1) }))
      .default([{ namespace: 'monitoring' }]),
  }),
  monitoring: section({
    enabled: z
      .enum(['auto', 'always', 'never'])
      .default('auto')
      .meta({ description: 'PodMonitor and PrometheusRule; auto: where their API exists' }),
    labels: z
      .record(z.string(), z.string())
      .default({})
      .meta({ description: 'That your Prometheus selects by' }),
  }),
  scheduling: section({
    nodeSelector: z.record(z.string(), z.string()).default({}),
    priorityClassName: z.string().optional(),
  }),
});
export type TopClientsSpec = z.output<typeof TopClientsSpec>;

export const TopClientsRules = rules({
  rule: `self.metadata.name == '${PLATFORM_NAME}'`,
  message: `there is one platform in a namespace; name it ${PLATFORM_NAME}`,
});
