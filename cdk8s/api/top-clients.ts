import { z } from 'zod';
import { CALLERS } from '#contracts/callers.ts';
import { CLAIM_NAME, IDENTITY_DEFAULTS, SIGNATURE_ALGORITHMS } from '#contracts/identity.ts';
import { eachPage, PAGE_NAMES } from '#contracts/pages.ts';
import { RANGES } from '#contracts/ranges.ts';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { GROUP } from '../own-names.ts';
import { backupOf, otherBackup, recoveryOf, writtenElsewhere } from './cnpg-backup.ts';
import { labels, PodSettings, podOf, storePodOf } from './pod-settings.ts';
import { resourcesOf } from './recommended.ts';
import { connectionsFit, SELF_VIEW_CONNECTIONS, serviceAutoscaling } from './service-autoscaling.ts';
import {
  DATABASE_SERVERS,
  httpAddress,
  imagePull,
  numberIn,
  objectName,
  otherResources,
  otherStorage,
  type Rule,
  replicas,
  resources,
  rules,
  secretKey,
  section,
  storage,
} from './shared.ts';

/** Each namespace has one platform, and this is its name. */
export const PLATFORM_NAME = 'top-clients';

const imageReference = (description: string) => z.string().min(1).max(512).meta({ description });

export const Image = z
  .strictObject({
    repository: imageReference('Registry and name, without tag').default('top-clients'),
    tag: z.string().min(1).max(128).optional().meta({ description: 'As v1.2.0' }),
    digest: z
      .string()
      .regex(/^sha256:[0-9a-f]{64}$/)
      .optional()
      .meta({ description: 'Wins over the tag' }),
    ...imagePull,
  })
  .meta({
    description: "The image of every role; the operator's own when absent",
    ...rules({
      rule: 'has(self.tag) || has(self.digest)',
      message: 'image needs a tag or a digest: what is latest changes without anybody changing it',
    }),
  });

/** A change of mode does not move the data. */
const fixedMode = (of: string, stays: string): Rule => ({
  rule: 'self.mode == oldSelf.mode',
  message: `${of}.mode is fixed, for ${stays} would stay behind; set it back, or install a second platform in a namespace of its own and move over`,
});

const Kafka = section({
  mode: z.enum(['embedded', 'strimzi', 'external']).default('embedded').meta({
    description:
      'embedded: one broker, for development; strimzi: a cluster by that operator; external: yours',
  }),
  partitions: z.int().min(1).max(1_000).default(SELLER_EVENTS.defaultPartitions).meta({
    description:
      'Of the topic; at most as many projectors share a page. Raised, the topic grows while everything runs',
  }),
  replication: z.int().min(1).max(9).optional().meta({
    description:
      'Copies of the topic, when it is created. Absent: one in an embedded Kafka, three elsewhere, or as many as kafka.strimzi.replicas',
  }),
  embedded: section({
    image: imageReference('Of Kafka').default('apache/kafka:4.3.1'),
    replicas: replicas(1).meta({ description: 'One; more need another mode' }),
    storage: storage('8Gi', 'fixed'),
    resources: resources('100m', '1Gi'),
    pod: podOf('the broker'),
  }).meta({ description: 'For kafka.mode embedded' }),
  strimzi: section({
    version: z
      .string()
      .max(32)
      .optional()
      .meta({ description: "Kafka's version; Strimzi's default when absent" }),
    replicas: replicas(3).meta({ description: 'Brokers, which are controllers as well' }),
    minInsyncReplicas: z
      .int()
      .min(1)
      .max(9)
      .default(2)
      .meta({ description: 'Copies that must have a write before it is acknowledged' }),
    storage: storage('50Gi', 'may grow'),
    resources: resources('500m', '2Gi'),
    rackTopologyKey: z.string().min(1).max(317).optional().meta({
      description:
        'A label of nodes, as topology.kubernetes.io/zone: copies of a partition are then kept in different zones. Not at all when absent',
    }),
    spread: z.enum(['preferred', 'required']).default('preferred').meta({
      description:
        'Whether each broker must have a node of its own. preferred: where there are enough nodes; required: otherwise it waits for one',
    }),
    heapSize: z
      .string()
      .regex(/^[1-9]\d{0,8}[mMgG]$/, 'must be a size as Java takes it, like 2g or 1500m')
      .optional()
      .meta({ description: "Of each broker's JVM, as 2g; Strimzi derives it from the limit when absent" }),
    jvmFlags: z
      .record(z.string(), z.string().max(253))
      .default({})
      .meta({ description: "Of each broker's JVM, those with -XX, as MaxGCPauseMillis: '20'" }),
    config: z
      .record(z.string(), z.string().max(1_024))
      .default({})
      .meta({ description: 'Further settings of the brokers; those that the platform promises by win' }),
    listeners: z
      .array(
        z
          .strictObject({
            name: z
              .string()
              .regex(/^[a-z0-9]{1,11}$/, 'must be at most 11 lower-case letters and digits')
              .meta({ description: 'Its name; tls is ours' }),
            port: z.int().min(9_092).max(65_535).meta({ description: 'Its port; 9093 is ours' }),
            type: z
              .enum(['internal', 'cluster-ip', 'nodeport', 'loadbalancer', 'route', 'ingress', 'tlsroute'])
              .default('internal')
              .meta({ description: 'How clients reach it' }),
            tls: z.boolean().default(true).meta({ description: 'Whether it is encrypted' }),
            authentication: z
              .enum(['scram-sha-512', 'tls'])
              .default('scram-sha-512')
              .meta({ description: 'How clients sign in, as KafkaUsers of yours' }),
          })
          .meta({
            description: 'A listener',
            ...rules(
              {
                rule: "self.name != 'tls' && self.port != 9093",
                message:
                  'kafka.strimzi.listeners are further ones: name tls and port 9093 are taken; choose others',
              },
              {
                rule: "self.authentication != 'tls' || self.tls",
                message: 'a listener with authentication tls must have tls: true, for clients sign in by it',
              },
            ),
          }),
      )
      .max(20)
      .default([])
      .meta({ description: 'Further listeners, for readers of your own' }),
    entityOperator: section({
      resources: resources('50m', '512Mi'),
    }).meta({ description: 'What brings topic and users to Kafka: two containers of these resources' }),
    pod: storePodOf('brokers and entity operator'),
  }).meta({ description: 'For kafka.mode strimzi' }),
  external: section({
    brokers: z
      .array(
        z
          .string()
          .max(260)
          .regex(/^[^\s:]+:\d+$/, 'must be host:port; an IPv6 address needs a name there'),
      )
      .max(100)
      .default([])
      .meta({ description: 'Bootstrap addresses, host:port' }),
    createTopic: z
      .boolean()
      .default(true)
      .meta({ description: 'false: the topic is there already, leave it alone' }),
    tls: z
      .strictObject({
        enabled: z.boolean().default(true).meta({ description: 'Whether to use TLS' }),
        existingSecret: objectName
          .optional()
          .meta({ description: 'A secret with the certificates to trust' }),
        caKey: secretKey.default('ca.crt').meta({ description: 'Its key that holds them, as PEM' }),
      })
      .optional()
      .meta({ description: 'The secret holds the certificates to trust; public ones need none' }),
    sasl: z
      .strictObject({
        mechanism: z
          .enum(['plain', 'scram-sha-256', 'scram-sha-512'])
          .meta({ description: 'As the brokers offer it' }),
        existingSecret: objectName.meta({ description: 'A secret with user name and password' }),
        usernameKey: secretKey.default('username').meta({ description: 'Its key with the user name' }),
        passwordKey: secretKey.default('password').meta({ description: 'Its key with the password' }),
      })
      .optional()
      .meta({ description: 'How to sign in; not at all when absent' }),
  }).meta({ description: 'For kafka.mode external' }),
}).meta({
  description: 'What carries the events',
  ...rules(
    {
      rule: "self.mode != 'embedded' || self.embedded.replicas == 1",
      message: 'embedded Kafka is one broker for development; for more set kafka.mode to strimzi or external',
    },
    {
      rule: "self.mode != 'embedded' || !has(self.replication) || self.replication == 1",
      message:
        'embedded Kafka keeps one copy; set kafka.replication to 1, or kafka.mode to strimzi or external',
    },
    {
      rule: "self.mode != 'external' || size(self.external.brokers) > 0",
      message: 'kafka.mode external needs kafka.external.brokers, a list of host:port',
    },
    {
      rule: "self.mode != 'strimzi' || !has(self.replication) || self.replication <= self.strimzi.replicas",
      message: 'kafka.replication must not exceed kafka.strimzi.replicas',
    },
    {
      rule: "self.mode != 'strimzi' || (has(self.replication) ? self.strimzi.minInsyncReplicas <= self.replication : self.strimzi.minInsyncReplicas <= 3 && self.strimzi.minInsyncReplicas <= self.strimzi.replicas)",
      message:
        'kafka.strimzi.minInsyncReplicas must not exceed kafka.replication, or no event could be written; three copies and two in sync are usual',
    },
    fixedMode('kafka', 'the events'),
  ),
});

const userSecret = (purpose: string) =>
  objectName.optional().meta({ description: `With the addresses that ${purpose}` });

/** How long CloudNativePG waits, in s. */
const seconds = (least: number, otherwise: number) => z.int().min(least).max(86_400).default(otherwise);

const dataDurability = (otherwise: 'required' | 'preferred') =>
  z.enum(['required', 'preferred']).default(otherwise).meta({
    description:
      'When fewer standbys are there than a write waits for. required: writes wait until they are back, and no acknowledged one is ever lost. preferred: writes go on, and those acknowledged meanwhile are lost with the primary. With two instances required stops writes whenever the one standby is away or restarts',
  });

const Cnpg = section({
  instances: replicas(3).meta({
    description: 'One primary, the others its replicas; three, so that writes go on while one is away',
  }),
  image: imageReference("Of PostgreSQL; CloudNativePG's default when absent").optional(),
  storage: storage('50Gi', 'may grow'),
  resources: resources('500m', '2Gi'),
  maxConnections: z
    .int()
    .min(20)
    .max(10_000)
    .default(300)
    .meta({ description: 'Connections of all roles together, to each cluster' }),
  synchronous: section({
    number: z.int().min(0).max(99).optional().meta({
      description:
        'Standbys that must have a write before it is acknowledged; 1 when absent and there are standbys, 0: none',
    }),
    dataDurability: dataDurability('required'),
    failoverQuorum: z.boolean().default(false).meta({
      description:
        'Promote only while so many standbys answer that one of them must have every acknowledged write; no failover when two of three are away. CloudNativePG 1.28 or newer',
    }),
  }).meta({ description: 'Whether an acknowledged write of a seller outlives the primary' }),
  smartShutdownTimeout: seconds(1, 1).meta({
    description:
      'How long a server that ends waits for its clients to leave by themselves, in s; ours never do, they move on',
  }),
  stopDelay: seconds(2, 90).meta({
    description:
      'How long an instance may take to end; it is then ended at once and recovers by its log, in s',
  }),
  switchoverDelay: seconds(1, 60).meta({
    description: 'How long the primary may take to end before another takes its place, in s',
  }),
  failoverDelay: seconds(0, 0).meta({
    description: 'How long the primary must be seen unhealthy before another takes its place, in s',
  }),
  primaryLeaseSeconds: z.int().min(6).max(600).optional().meta({
    description:
      "How long a primary that died keeps its lease, and others from its place, in s; CloudNativePG's 15 when absent. Needs CloudNativePG 1.30 or newer, and an API server that is never away for two thirds of it",
  }),
  backup: backupOf(
    'What is backed up, and when: every cluster, by ScheduledBackups and, with an objectStore, the archived write-ahead log',
  ),
  recovery: section({
    source: recoveryOf("The source's, or the only one of `shared`"),
    pages: recoveryOf('That of the pages, of `separate`'),
    ...eachPage((page) => recoveryOf(`The ${page} page's, of \`each\``)),
  }).meta({
    description:
      'What a cluster is made from, in place of nothing. Read when a cluster is made and never again: to restore one that is there, set this first and delete its Cluster then',
  }),
  pod: storePodOf('the instances'),
  pages: section({
    backup: otherBackup('Their backups; as for the source when absent, but for serverSuffix'),
    instances: z.int().min(1).max(1_000).optional().meta({ description: 'As for the source when absent' }),
    storage: otherStorage('50Gi', 'may grow', 'The volumes; as for the source when absent'),
    resources: otherResources('500m', '2Gi', 'Of each pod; as for the source when absent'),
    maxConnections: z
      .int()
      .min(20)
      .max(10_000)
      .optional()
      .meta({ description: 'To each cluster; as for the source when absent' }),
    synchronous: section({
      number: z.int().min(0).max(99).default(0).meta({
        description:
          'Standbys that must have a write before it is acknowledged; none, for what a failover loses of a view is read from the topic again',
      }),
      dataDurability: dataDurability('preferred'),
    }).meta({ description: 'Whether an acknowledged write of a page outlives the primary' }),
  }).meta({ description: 'The clusters of the pages, unless postgres.servers is shared' }),
}).meta({
  description: 'For postgres.mode cnpg',
  ...rules(
    {
      rule: '!has(self.synchronous.number) || self.synchronous.number < self.instances',
      message:
        'cnpg.synchronous.number counts standbys, so it must be less than cnpg.instances; lower it or raise cnpg.instances',
    },
    {
      rule: 'self.pages.synchronous.number < (has(self.pages.instances) ? self.pages.instances : self.instances)',
      message:
        'cnpg.pages.synchronous.number counts standbys, so it must be less than the instances of the pages; lower it or raise cnpg.pages.instances',
    },
    {
      rule: 'self.stopDelay > self.smartShutdownTimeout',
      message:
        'cnpg.stopDelay must be more than cnpg.smartShutdownTimeout, which is a part of it; raise it or lower the other',
    },
    ...writtenElsewhere,
  ),
});

const Postgres = section({
  mode: z.enum(['embedded', 'cnpg', 'external']).default('embedded').meta({
    description:
      'embedded: servers of one pod, for development; cnpg: clusters by CloudNativePG; external: yours',
  }),
  servers: z.enum(DATABASE_SERVERS).optional().meta({
    description:
      'Which databases share a server. separate: the pages have another one than the source, whose failover then takes no page down; each: every page has one of its own; shared: all on one. When absent it stays as it was when the platform was installed; a new one is separate. Not for mode external',
  }),
  embedded: section({
    image: imageReference('Of PostgreSQL').default('postgres:18'),
    replicas: replicas(1).meta({ description: 'One; more need another mode' }),
    storage: storage('8Gi', 'fixed'),
    resources: resources('100m', '512Mi'),
    maxConnections: z
      .int()
      .min(20)
      .max(10_000)
      .default(200)
      .meta({ description: 'Connections of all roles together, to each server' }),
    existingSecret: objectName.optional().meta({
      description:
        'Holds `username` and `password` of the owner, for every server; the operator makes one for each when absent',
    }),
    pod: podOf('each server'),
  }).meta({ description: 'For postgres.mode embedded' }),
  cnpg: Cnpg,
  external: section({
    existingSecret: objectName.optional().meta({
      description:
        'Holds one address a database, postgresql://user:password@host:5432/name, of the user that owns it and migrates',
    }),
    port: z
      .int()
      .min(1)
      .max(65_535)
      .default(5_432)
      .meta({ description: 'Of those addresses; network policies let nothing else out to a database' }),
    keys: section({
      source: secretKey.default('source-url').meta({ description: 'Of the source of truth' }),
      ...eachPage((page) => secretKey.default(`${page}-url`).meta({ description: `Of the ${page} page` })),
      selfView: secretKey.default('self-view-url').meta({ description: 'Of the self-view' }),
    }).meta({ description: 'The keys of the secret' }),
    replicaKeys: section(
      eachPage((page) => secretKey.optional().meta({ description: `Of the ${page} page` })),
    ).meta({
      description:
        'Further keys of the secret that page servers sign in by, with addresses of servers that follow the primary: pages read them while it does not answer. None when absent',
    }),
    userSecrets: section({
      source: userSecret('the source of truth signs in with'),
      relay: userSecret('the relay signs in with'),
      republish: userSecret('jobs sign in with that publish sellers again'),
      watcher: userSecret('what compares views signs in with, to the source and to the pages'),
      page: userSecret('page servers and the self-view sign in with'),
      projector: userSecret('projectors sign in with'),
    }).meta({
      description:
        'A secret a purpose, with the same keys as existingSecret as far as they are needed, and another user in each address; migrations give each user what it needs. Whose secret is absent signs in as the owner, by existingSecret',
    }),
    caSecret: objectName.optional().meta({
      description:
        'A secret with the certificate of the authority that signed those of the databases: they are then reached by TLS with sslmode=verify-full; the addresses decide when absent',
    }),
    caKeys: section({
      source: secretKey.default('ca.crt').meta({ description: 'For the source of truth' }),
      ...eachPage((page) => secretKey.default('ca.crt').meta({ description: `For the ${page} page` })),
      selfView: secretKey.default('ca.crt').meta({ description: 'For the self-view' }),
    }).meta({ description: 'The keys of caSecret, one a database; one authority may do for all' }),
  }).meta({ description: 'For postgres.mode external' }),
}).meta({
  description: 'What keeps the data: a database for the source of truth, and one a page',
  ...rules(
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
    fixedMode('postgres', 'the data'),
  ),
});

export type PostgresSpec = z.output<typeof Postgres>;

const claimName = z.string().max(128).regex(CLAIM_NAME, 'must be the name of a claim, like sub');

const Auth = section({
  demoIssuer: z.boolean().optional().meta({
    description:
      'Runs an issuer that signs in anybody as any seller. Absent: only with profile demo, where no issuer is given',
  }),
  issuer: z
    .string()
    .min(1)
    .max(2_048)
    .optional()
    .meta({ description: 'The only issuer whose tokens are accepted' }),
  audience: z
    .string()
    .min(1)
    .max(2_048)
    .default('top-clients')
    .meta({ description: 'The audience that tokens must name' }),
  jwksUrl: httpAddress.optional().meta({ description: 'Where the keys are that tokens are signed with' }),
  algorithms: z
    .array(z.enum(SIGNATURE_ALGORITHMS))
    .min(1)
    .default([...IDENTITY_DEFAULTS.algorithms])
    .meta({ description: 'Signature algorithms that are accepted; the demo issuer signs by ES256' }),
  sellerClaim: claimName
    .default(IDENTITY_DEFAULTS.sellerClaim)
    .meta({ description: "The claim that holds the seller's number, a text or a number" }),
  scopeClaims: z
    .array(claimName)
    .min(1)
    .max(10)
    .default([...IDENTITY_DEFAULTS.scopeClaims])
    .meta({
      description:
        'The claims that hold what a token allows, a text with blanks or a list of texts; add roles for applications of Entra',
    }),
  clockToleranceSeconds: numberIn(RANGES.identity.clockToleranceSeconds).meta({
    description: 'By how much the clocks of issuer and cluster may differ',
  }),
  keys: section({
    timeoutMs: numberIn(RANGES.identity.keysTimeoutMs).meta({
      description: 'Deadline of a request for them',
    }),
    refreshSeconds: numberIn(RANGES.identity.keysRefreshSeconds).meta({
      description: 'How often they are fetched anew; one that was withdrawn is trusted no longer',
    }),
    maxAgeSeconds: numberIn(RANGES.identity.keysMaxAgeSeconds).meta({
      description:
        'How long they are trusted while the issuer is away. Then no token is accepted until it is back',
    }),
  }).meta({
    description: 'The keys that tokens are signed with',
    ...rules({
      rule: 'self.maxAgeSeconds >= 2 * self.refreshSeconds',
      message:
        'auth.keys.maxAgeSeconds must be at least twice auth.keys.refreshSeconds, or one request that fails locks everybody out',
    }),
  }),
}).meta({
  description: 'Whose tokens let sellers write, and in; the same for the source and for the self-view',
  ...rules({
    rule: '!has(self.demoIssuer) || !self.demoIssuer || (!has(self.issuer) && !has(self.jwksUrl))',
    message:
      'auth.demoIssuer brings an issuer of its own; remove auth.issuer and auth.jwksUrl, or set it to false',
  }),
});

const namespaces = (...otherwise: string[]) =>
  z
    .array(
      z
        .strictObject({ namespace: objectName.meta({ description: 'Its name' }) })
        .meta({ description: 'A namespace' }),
    )
    .default(otherwise.map((namespace) => ({ namespace })));

/** Whether the demo's issuer runs, in CEL; `hasDemoIssuer` says the same. */
const DEMO_ISSUER =
  "(has(self.auth.demoIssuer) ? self.auth.demoIssuer : self.profile == 'demo' && !has(self.auth.issuer) && !has(self.auth.jwksUrl))";

/** What profile production refuses, so that nobody trusts data to what is there to be looked at. */
const refusedInProduction = (holds: string, because: string, instead: string): Rule => ({
  rule: `self.profile == 'demo' || ${holds}`,
  message: `profile production ${because}; ${instead}, or profile to demo`,
});
/** @param unless when another field decides, as CEL */
const twoOf = (what: string, field: string, unless?: string): Rule =>
  refusedInProduction(
    unless === undefined ? `self.${field} > 1` : `${unless} || self.${field} > 1`,
    `needs two ${what} at least, for one is gone whenever its node is`,
    `set ${field} to 2 or more`,
  );
/** The same of a service that may scale itself. */
const twoOfService = (what: string, service: string, absent = ''): Rule[] => [
  twoOf(what, `${service}.replicas`, `${absent}self.${service}.autoscaling.mode != 'none'`),
  twoOf(what, `${service}.autoscaling.minReplicas`, `${absent}self.${service}.autoscaling.mode == 'none'`),
];

/** An address or a network, as proxies are named. */
const network = z
  .string()
  .max(64)
  .regex(
    /^(loopback|linklocal|uniquelocal|[0-9a-fA-F.:]+(\/\d{1,3})?)$/,
    'must be an address, a network like 10.0.0.0/8 or fd00::/8, or loopback, linklocal, uniquelocal',
  );

/** Whose pods bring visitors in: they are let in, and believed whose address they forward. */
const proxies = (whose: string) =>
  section({
    namespace: objectName.optional().meta({
      description: `That of ${whose}: it may call pages and API then, as if it stood in networkPolicies.pagesFrom`,
    }),
    networks: z
      .array(network)
      .max(100)
      .default(['uniquelocal'])
      .meta({
        description: `Where ${whose} sends from; its X-Forwarded-For is believed, as if they stood in source.trustedProxies. uniquelocal: all private addresses, as pods have`,
      }),
  });

const Ingress = section({
  enabled: z.boolean().default(false).meta({ description: 'Whether to make them' }),
  className: objectName
    .optional()
    .meta({ description: "Of the controller; the cluster's default when absent" }),
  annotations: z
    .record(z.string(), z.string())
    .default({})
    .meta({ description: 'Of each, as cert-manager.io/cluster-issuer' }),
  tls: section({
    enabled: z
      .boolean()
      .default(true)
      .meta({ description: 'Whether hosts with https are listed with a secret; false: TLS ends before' }),
    secretName: objectName.optional().meta({
      description:
        'One with a certificate for all hosts; when absent each has its own, the name of its Service and -tls, for cert-manager to fill',
    }),
  }).meta({ description: 'Certificates' }),
  controller: proxies('the controller').meta({ description: 'What serves them' }),
}).meta({
  description: 'An Ingress for each of publicUrls: pages, self-view and API. None for pages of yours',
});

const HttpRoute = section({
  enabled: z.boolean().default(false).meta({ description: 'Whether to make them' }),
  annotations: z.record(z.string(), z.string()).default({}).meta({ description: 'Of each' }),
  parentRefs: z
    .array(
      z
        .strictObject({
          name: objectName.meta({ description: 'Of the Gateway' }),
          namespace: objectName.optional().meta({ description: 'Its namespace; ours when absent' }),
          sectionName: objectName.optional().meta({ description: 'The listener; all when absent' }),
          port: z.int().min(1).max(65_535).optional().meta({ description: 'Of the listener' }),
        })
        .meta({ description: 'A Gateway' }),
    )
    .max(32)
    .default([])
    .meta({ description: 'Gateways that serve them, with the certificates' }),
  gateway: proxies('the gateway').meta({ description: 'What serves them' }),
}).meta({
  description: 'An HTTPRoute of the Gateway API for each of publicUrls: pages, self-view and API',
});

/** The platform: source of truth, databases, Kafka. One in a namespace. */
export const TopClientsSpec = section({
  profile: z.enum(['production', 'demo']).default('production').meta({
    description:
      'production: refuses what loses data or lets anybody in: embedded stores, the demo issuer, made-up data, one pod of a role. demo: allows them, and brings issuer and data by itself; to look at, not to trust with data',
  }),
  image: Image.optional(),
  logLevel: z.enum(['debug', 'info', 'warn', 'error']).default('info').meta({ description: 'Of every role' }),
  deletionPolicy: z.enum(['Retain', 'Delete']).default('Retain').meta({
    description:
      'What becomes of databases, topic, volume claims and their secrets when the TopClients is deleted, as an uninstall does. Retain: they stay, and another installation in this namespace finds its data. Delete: all of it goes along',
  }),
  kafka: Kafka,
  postgres: Postgres,
  auth: Auth,
  demoData: section({
    enabled: z.boolean().optional().meta({
      description: 'Fills the databases with made-up sellers, gigs and users. Absent: only with profile demo',
    }),
    sellers: z.int().min(1).max(900_000).default(1_000).meta({ description: 'How many' }),
  }).meta({ description: 'Something to look at' }),
  source: section({
    replicas: replicas(2).meta({ description: 'Pods that answer the API' }),
    autoscaling: serviceAutoscaling(),
    resources: resourcesOf('source'),
    databasePool: numberIn(RANGES.source.databasePool).meta({
      description: 'Connections of each pod to its database, at most',
    }),
    writesPerMinute: numberIn(RANGES.source.writesPerMinute).meta({
      description: 'Changes a seller may send in a minute; 0 for any number',
    }),
    requestsPerMinute: numberIn(RANGES.source.requestsPerMinute).meta({
      description:
        "Requests a stranger's address, or a seller who is signed in, may send in a minute; 0 for any number",
    }),
    pageRequestsPerMinute: numberIn(RANGES.source.pageRequestsPerMinute).meta({
      description:
        'Requests a page of ours may send to one pod in a minute, all its servers together; 0 for any number',
    }),
    callers: section({
      existingSecret: objectName.optional().meta({
        description: `Holds \`key\`, by which the source knows its pages, and a credential for each: ${CALLERS.map((caller) => `\`${caller}\``).join(', ')}; the operator makes one when absent`,
      }),
    }).meta({ description: 'How pages say who they are, so that they are not limited as strangers' }),
    trustedProxies: z.array(network).max(100).default([]).meta({
      description:
        'Addresses or networks whose X-Forwarded-For is believed, by the source and by the pages: those of your ingress. Behind one that is not among them all strangers share one limit',
    }),
    pod: podOf('its pods'),
  }).meta({
    description: 'The service that owns the data',
    ...rules(connectionsFit('self.databasePool')),
  }),
  relay: section({
    replicas: replicas(2).meta({ description: 'Pods; one leads a shard, the others stand by' }),
    shards: numberIn(RANGES.relay.shards).meta({
      description: 'Parts of the sellers that are relayed side by side',
    }),
    roundMs: numberIn(RANGES.relay.roundMs).meta({
      description:
        'How long changes are gathered for a batch, in ms: longer costs less, and every page waits half of it longer',
    }),
    resources: resourcesOf('relay'),
    pod: podOf('its pods'),
  }).meta({ description: 'What brings committed changes to Kafka' }),
  selfView: section({
    enabled: z.boolean().default(true).meta({ description: 'Whether to run it' }),
    replicas: replicas(2).meta({ description: 'Pods that serve it' }),
    autoscaling: serviceAutoscaling(),
    resources: resourcesOf('self-view'),
    pod: podOf('its pods'),
  }).meta({
    description: 'The page where sellers see and edit their own list',
    ...rules(connectionsFit(SELF_VIEW_CONNECTIONS)),
  }),
  ingress: Ingress,
  httpRoute: HttpRoute,
  publicUrls: section({
    api: httpAddress.optional().meta({ description: 'Of the source, for those who call it from outside' }),
    ...eachPage((page) => httpAddress.optional().meta({ description: `Of the ${page} page` })),
    selfView: z
      .string()
      .max(2_048)
      .regex(/^https?:\/\/[^\s/?#@]+\/?$/, 'must be an address without a path, like https://my.example.com')
      .optional()
      .meta({
        description:
          'Of the self-view, without a path; https and required unless the demo issuer runs, for sessions are bound to it',
      }),
  }).meta({ description: 'Where browsers find the pages, for the links between them' }),
  networkPolicies: section({
    enabled: z
      .boolean()
      .default(true)
      .meta({ description: 'Deny everything, then allow what the parts need of each other' }),
    pagesFrom: namespaces().meta({
      description: 'Namespaces that may call pages and API, such as that of the ingress; any when empty',
    }),
    scrapersFrom: namespaces('monitoring').meta({ description: 'Namespaces that may read metrics' }),
    dnsIn: namespaces('kube-system', 'openshift-dns').meta({
      description:
        'Namespaces whose DNS servers are asked, at port 53 or, as on OpenShift, 5353; caches on the nodes are asked besides',
    }),
    kedaFrom: namespaces('keda').meta({ description: 'Namespaces from which KEDA asks Kafka for the lag' }),
  }).meta({ description: 'Who may speak with whom' }),
  monitoring: section({
    enabled: z
      .enum(['auto', 'always', 'never'])
      .default('auto')
      .meta({ description: 'PodMonitor and PrometheusRule; auto: where their API exists' }),
    labels: z
      .record(z.string(), z.string().max(63))
      .default({})
      .meta({ description: 'That your Prometheus selects by' }),
    prometheusUrl: httpAddress.optional().meta({
      description:
        'Where KEDA asks Prometheus, as http://prometheus-operated.monitoring:9090; for autoscaling by requests',
    }),
    runbooks: z.string().min(1).max(2_048).default('docs/runbooks').meta({
      description:
        "Where alerts say their runbooks are; a path in the project's repository, or the address of your copy",
    }),
  }).meta({ description: 'For the Prometheus operator' }),
  tracing: section({
    endpoint: httpAddress.optional().meta({
      description: 'Where traces are sent by OTLP over HTTP, without /v1/traces; none are made when absent',
    }),
    samplePercent: z
      .number()
      .min(0)
      .max(100)
      .default(1)
      .meta({ description: 'How many of a hundred requests are traced, where the caller has not decided' }),
  }).meta({ description: "From a seller's click to the page that shows it" }),
  scheduling: section({
    nodeSelector: z
      .record(z.string(), z.string().max(63))
      .default({})
      .meta({ description: 'Labels of the nodes to run on' }),
    priorityClassName: objectName.optional().meta({ description: 'Of every pod' }),
  }).meta({ description: 'Deprecated: where the pods run; say it in pods, which is put over it' }),
  commonLabels: labels('Of every object and pod that is made, beside its own; in no selector'),
  pods: PodSettings.optional().meta({
    description: 'Settings of every pod; `pod` of a role is put over them',
  }),
  jobs: section({ pod: podOf('the pods of jobs') }).meta({
    description: 'What migrates, compares, removes, publishes again and fills with made-up data',
  }),
}).meta({
  description: 'What the platform shall be',
  ...rules(
    {
      rule: "has(self.monitoring.prometheusUrl) || (self.source.autoscaling.mode != 'requests' && self.selfView.autoscaling.mode != 'requests')",
      message:
        'autoscaling.mode requests needs monitoring.prometheusUrl, where KEDA asks for them; set it, or the mode to cpu',
    },
    refusedInProduction(
      "self.kafka.mode != 'embedded'",
      'refuses an embedded Kafka, which is one broker for development',
      'set kafka.mode to strimzi or external',
    ),
    refusedInProduction(
      "self.postgres.mode != 'embedded'",
      'refuses an embedded PostgreSQL, which is one server for development',
      'set postgres.mode to cnpg or external',
    ),
    refusedInProduction(
      '!has(self.auth.demoIssuer) || !self.auth.demoIssuer',
      'refuses auth.demoIssuer, which signs in anybody as any seller',
      'set auth.issuer and auth.jwksUrl instead',
    ),
    refusedInProduction(
      '!has(self.demoData.enabled) || !self.demoData.enabled',
      'refuses demoData, made-up sellers among yours',
      'set demoData.enabled to false',
    ),
    ...twoOfService('pods of the source', 'source'),
    twoOf('pods of the relay', 'relay.replicas'),
    ...twoOfService('pods of the self-view', 'selfView', '!self.selfView.enabled || '),
    refusedInProduction(
      "self.kafka.mode != 'strimzi' || self.kafka.strimzi.replicas > 1",
      'needs two brokers at least, for one is gone whenever its node is',
      'set kafka.strimzi.replicas to 3 or more',
    ),
    refusedInProduction(
      "self.postgres.mode != 'cnpg' || self.postgres.cnpg.instances > 1",
      'needs two instances of PostgreSQL at least, for one is gone whenever its node is',
      'set postgres.cnpg.instances to 3 or more',
    ),
    {
      rule: `${DEMO_ISSUER} || (has(self.auth.issuer) && has(self.auth.jwksUrl))`,
      message:
        'set auth.issuer and auth.jwksUrl, the identity provider whose tokens are accepted; only profile demo has an issuer of its own',
    },
    {
      rule: `${DEMO_ISSUER} || !self.selfView.enabled || (has(self.publicUrls.selfView) && self.publicUrls.selfView.startsWith('https://'))`,
      message:
        "set publicUrls.selfView to the https address under which browsers find the self-view, like https://my.example.com, for sellers' sessions are bound to it; or set selfView.enabled to false",
    },
    {
      rule: `!(self.ingress.enabled || self.httpRoute.enabled) || ${['api', ...PAGE_NAMES, 'selfView'].map((one) => `has(self.publicUrls.${one})`).join(' || ')}`,
      message:
        'ingress and httpRoute take their hosts from publicUrls; set one of these, like publicUrls.gig: https://gigs.example.com',
    },
    {
      rule: '!self.httpRoute.enabled || size(self.httpRoute.parentRefs) > 0',
      message: 'httpRoute needs httpRoute.parentRefs, the Gateways that serve it',
    },
  ),
});
export type TopClientsSpec = z.output<typeof TopClientsSpec>;

/** Whether the demo's issuer runs, which signs in anybody. */
export const hasDemoIssuer = ({ profile, auth }: Pick<TopClientsSpec, 'profile' | 'auth'>): boolean =>
  auth.demoIssuer ?? (profile === 'demo' && auth.issuer === undefined && auth.jwksUrl === undefined);

/** Whether made-up sellers, gigs and users are made. */
export const hasDemoData = ({ profile, demoData }: Pick<TopClientsSpec, 'profile' | 'demoData'>): boolean =>
  demoData.enabled ?? profile === 'demo';

/** How many copies a topic gets when it is created. */
export function replicationOf({ mode, replication, strimzi }: TopClientsSpec['kafka']): number {
  if (replication !== undefined) return replication;
  switch (mode) {
    case 'embedded':
      return 1;
    case 'strimzi':
      return Math.min(USUAL_COPIES, strimzi.replicas);
    case 'external':
      return USUAL_COPIES;
  }
}
const USUAL_COPIES = 3;

/** On a TopClients: each new value makes all sellers be published again, once. */
export const REPUBLISH_ANNOTATION = `${GROUP}/republish`;

/** On a TopClients: each new value makes the source, which was restored, follow what it had published, once. */
export const RESTORED_ANNOTATION = `${GROUP}/restored`;

/** On a TopClients: each new value makes the callers' keys be rotated, once. */
export const ROTATE_CALLERS_ANNOTATION = `${GROUP}/rotate-callers`;

const WANTED = 'self.spec.kafka.partitions';
const servers = (of: 'self' | 'oldSelf') => `${of}.spec.postgres.servers`;

export const TopClientsRules = rules(
  {
    rule: `self.metadata.name == '${PLATFORM_NAME}'`,
    message: `there is one platform in a namespace; name it ${PLATFORM_NAME}`,
  },
  {
    // A raised number may be lowered again until the growth begins: nothing is in the new partitions yet.
    rule:
      `!has(self.spec) || !has(oldSelf.spec) || ${WANTED} >= oldSelf.spec.kafka.partitions || ` +
      `(has(self.status) && has(self.status.partitions) && ${WANTED} >= self.status.partitions)`,
    message:
      'kafka.partitions can grow but not shrink, for Kafka takes no partition away; set it back, or at least to status.partitions',
  },
  {
    // Only on a change: an operator that finds another division says so in its status, which must stay writable.
    rule:
      `!has(self.spec) || !has(oldSelf.spec) || !has(${servers('self')}) || ` +
      `(has(${servers('oldSelf')}) && ${servers('self')} == ${servers('oldSelf')}) || ` +
      `(has(self.status) && has(self.status.databaseServers) ? ${servers('self')} == self.status.databaseServers : !has(${servers('oldSelf')}))`,
    message:
      'postgres.servers is fixed, for the databases would not move; set it to status.databaseServers or remove it, or install a second platform in a namespace of its own and move over',
  },
);
