import { OWN_ISSUER } from './platforms.ts';

const PRODUCTION = {
  ...OWN_ISSUER,
  profile: 'production',
  kafka: { mode: 'strimzi' },
  postgres: { mode: 'cnpg' },
};
const EXTERNAL = { database: { existingSecret: 'shop-database' } };

const platform = (topClients: object) => ({ topClients });
const production = (topClients: object) => ({ topClients: { ...PRODUCTION, ...topClients } });
const cnpg = (values: object) => platform({ postgres: { mode: 'cnpg', cnpg: values } });
const page = (spec: object, name = 'gig') => ({ pages: { [name]: spec } });

/** Of each rule, values that break it and nothing else where they lie over a demo; each with how it is refused. */
export const BROKEN_VALUES: readonly (readonly [sentence: string, values: object])[] = [
  ['topClients: profile production refuses an embedded Kafka', production({ kafka: { mode: 'embedded' } })],
  [
    'topClients: profile production refuses an embedded PostgreSQL',
    production({ postgres: { mode: 'embedded' } }),
  ],
  ['topClients: profile production refuses auth.demoIssuer', production({ auth: { demoIssuer: true } })],
  ['topClients: profile production refuses demoData', production({ demoData: { enabled: true } })],
  ['topClients: profile production needs two pods of the source', production({ source: { replicas: 1 } })],
  [
    'two pods of the source at least, for one is gone whenever its node is; set source.autoscaling.minReplicas',
    production({ source: { autoscaling: { mode: 'cpu', minReplicas: 1 } } }),
  ],
  [
    'two pods of the self-view at least, for one is gone whenever its node is; set selfView.autoscaling.minReplicas',
    production({ selfView: { autoscaling: { mode: 'cpu', minReplicas: 1 } } }),
  ],
  ['topClients: profile production needs two pods of the relay', production({ relay: { replicas: 1 } })],
  [
    'topClients: profile production needs two pods of the self-view',
    production({ selfView: { replicas: 1 } }),
  ],
  [
    'topClients: profile production needs two brokers',
    production({ kafka: { mode: 'strimzi', strimzi: { replicas: 1, minInsyncReplicas: 1 } } }),
  ],
  [
    'topClients: profile production needs two instances of PostgreSQL',
    production({ postgres: { mode: 'cnpg', cnpg: { instances: 1 } } }),
  ],
  ['topClients: set auth.issuer and auth.jwksUrl', production({ auth: {} })],
  [
    'topClients: set publicUrls.selfView to the https address',
    production({ publicUrls: { selfView: 'http://my.example.com' } }),
  ],
  [
    'topClients: autoscaling.mode requests needs monitoring.prometheusUrl',
    platform({ source: { autoscaling: { mode: 'requests' } } }),
  ],
  [
    'topClients: ingress and httpRoute take their hosts from publicUrls',
    platform({ ingress: { enabled: true } }),
  ],
  [
    'topClients: httpRoute needs httpRoute.parentRefs',
    platform({ httpRoute: { enabled: true }, publicUrls: { gig: 'https://gigs.example.com' } }),
  ],
  [
    'topClients.source: autoscaling.maxReplicas pods would take more connections',
    platform({ source: { autoscaling: { mode: 'cpu', maxReplicas: 500 } } }),
  ],
  ['topClients.image: image needs a tag or a digest', platform({ image: { repository: 'shop' } })],
  [
    'topClients.kafka: embedded Kafka is one broker for development',
    platform({ kafka: { embedded: { replicas: 3 } } }),
  ],
  ['topClients.kafka: embedded Kafka keeps one copy', platform({ kafka: { replication: 3 } })],
  [
    'topClients.kafka: kafka.mode external needs kafka.external.brokers',
    platform({ kafka: { mode: 'external' } }),
  ],
  [
    'topClients.kafka: kafka.replication must not exceed kafka.strimzi.replicas',
    platform({ kafka: { mode: 'strimzi', replication: 5 } }),
  ],
  [
    'topClients.kafka: kafka.strimzi.minInsyncReplicas must not exceed kafka.replication',
    platform({ kafka: { mode: 'strimzi', replication: 1 } }),
  ],
  [
    'topClients.kafka: kafka.strimzi.minInsyncReplicas must not exceed kafka.replication',
    platform({ kafka: { mode: 'strimzi', strimzi: { replicas: 1 } } }),
  ],
  [
    'topClients.kafka.strimzi.listeners.0: kafka.strimzi.listeners are further ones',
    platform({ kafka: { mode: 'strimzi', strimzi: { listeners: [{ name: 'readers', port: 9093 }] } } }),
  ],
  [
    'topClients.kafka.strimzi.listeners.0: a listener with authentication tls must have tls: true',
    platform({
      kafka: {
        mode: 'strimzi',
        strimzi: { listeners: [{ name: 'readers', port: 9094, tls: false, authentication: 'tls' }] },
      },
    }),
  ],
  [
    'topClients.postgres: embedded PostgreSQL is one server for development',
    platform({ postgres: { embedded: { replicas: 2 } } }),
  ],
  [
    'topClients.postgres: postgres.mode external needs postgres.external.existingSecret',
    platform({ postgres: { mode: 'external' } }),
  ],
  [
    'topClients.postgres.cnpg: cnpg.synchronous.number counts standbys',
    platform({ postgres: { mode: 'cnpg', cnpg: { synchronous: { number: 3 } } } }),
  ],
  [
    'topClients.postgres.cnpg: cnpg.pages.synchronous.number counts standbys',
    platform({ postgres: { mode: 'cnpg', cnpg: { pages: { synchronous: { number: 3 } } } } }),
  ],
  [
    'topClients.postgres.cnpg: cnpg.stopDelay must be more than cnpg.smartShutdownTimeout',
    platform({ postgres: { mode: 'cnpg', cnpg: { stopDelay: 10, smartShutdownTimeout: 10 } } }),
  ],
  [
    'topClients.postgres.cnpg.backup: backup.method plugin needs backup.objectStore',
    cnpg({ backup: { method: 'plugin' } }),
  ],
  [
    'topClients.postgres.cnpg.pages.backup: backup.method plugin needs backup.objectStore',
    cnpg({ pages: { backup: { method: 'plugin' } } }),
  ],
  [
    'topClients.postgres.cnpg.recovery.source: a recovery needs what to recover from',
    cnpg({ recovery: { source: {} } }),
  ],
  [
    'topClients.postgres.cnpg.recovery.pages: recovery.backup stands alone',
    cnpg({ recovery: { pages: { backup: 'monday', volumeSnapshot: 'monday' } } }),
  ],
  [
    'topClients.postgres.cnpg.recovery.gig: recovery.target needs recovery.objectStore',
    cnpg({ recovery: { gig: { volumeSnapshot: 'monday', target: { time: '2026-11-29T12:00:00Z' } } } }),
  ],
  [
    'topClients.postgres.cnpg.recovery.user: recovery.target by xid, name or immediate',
    cnpg({ recovery: { user: { objectStore: 'backups', target: { xid: '7' } } } }),
  ],
  [
    'topClients.postgres.cnpg.recovery.search: recovery.target.backupId is a base backup in an object store',
    cnpg({
      recovery: { search: { objectStore: 'log', volumeSnapshot: 'monday', target: { backupId: 'b' } } },
    }),
  ],
  [
    'topClients.postgres.cnpg.recovery.source.target: target is one of time, lsn, xid, name and immediate',
    cnpg({
      recovery: { source: { objectStore: 'b', target: { time: '2026-11-29T12:00:00Z', lsn: '0/3000028' } } },
    }),
  ],
  [
    'topClients.postgres.cnpg: cnpg.recovery.source reads the archive that the recovered cluster would write to',
    cnpg({ backup: { objectStore: 'b' }, recovery: { source: { objectStore: 'b' } } }),
  ],
  ...['pages', 'gig', 'user', 'search'].map(
    (server) =>
      [
        `topClients.postgres.cnpg: cnpg.recovery.${server} reads the archive that the recovered cluster would write to`,
        cnpg({
          backup: { objectStore: 'other' },
          pages: { backup: { objectStore: 'b', serverSuffix: '2' } },
          recovery: { [server]: { objectStore: 'b', serverSuffix: '2' } },
        }),
      ] as const,
  ),
  [
    'topClients.auth: auth.demoIssuer brings an issuer of its own',
    platform({ auth: { ...OWN_ISSUER.auth, demoIssuer: true } }),
  ],
  [
    'topClients.auth.keys: auth.keys.maxAgeSeconds must be at least twice',
    platform({ auth: { keys: { maxAgeSeconds: 300 } } }),
  ],
  [
    'topClients.source.resources: requests.memory must not exceed limits.memory',
    platform({ source: { resources: { requests: { memory: '1Gi' } } } }),
  ],
  [
    'pages.gig.server.resources: requests.cpu must not exceed limits.cpu',
    page({ server: { resources: { requests: { cpu: 2 }, limits: { cpu: '500m' } } } }),
  ],
  [
    'pages.gig: gig, user, search are served by Top Clients, without external',
    page({ external: EXTERNAL }, 'gig'),
  ],
  [
    'pages.shop-of-many-a-thing: the name of a page of yours has at most 19',
    page({ external: EXTERNAL }, 'shop-of-many-a-thing'),
  ],
  [
    'pages.shop: server is for pages that Top Clients serves itself',
    page({ external: EXTERNAL, server: {} }, 'shop'),
  ],
  [
    'pages.shop: a page with external reads a view in its own database',
    page({ external: EXTERNAL, delivery: 'synchronous' }, 'shop'),
  ],
  [
    'pages.shop.external.callers.0: a caller needs podSelector',
    page({ external: { ...EXTERNAL, callers: [{}] } }, 'shop'),
  ],
  ['pages.gig: parallel belongs to delivery synchronous', page({ parallel: false })],
  [
    'pages.gig: autoscaling.maxReplicas needs three database connections each',
    page({ autoscaling: { maxReplicas: 4 }, projector: { maxDatabaseConnections: 11 } }),
  ],
  [
    'pages.gig: replicas need three database connections each',
    page({ replicas: 4, autoscaling: { maxReplicas: 3 }, projector: { maxDatabaseConnections: 11 } }),
  ],
  [
    'pages.gig.autoscaling: autoscaling.minReplicas must not exceed autoscaling.maxReplicas',
    page({ autoscaling: { minReplicas: 7 } }),
  ],
  [
    'pages.gig.server: server.pageDeadlineMs must be at least 100 more than server.sourceDeadlineMs',
    page({ server: { sourceDeadlineMs: 950 } }),
  ],
  [
    'pages.gig.server.replicas is 1, but profile production needs two',
    { ...production({}), ...page({ server: { replicas: 1 } }) },
  ],
  [
    'pages.gig.server.autoscaling.minReplicas is 1, but profile production needs two',
    { ...production({}), ...page({ server: { autoscaling: { mode: 'cpu', minReplicas: 1 } } }) },
  ],
  [
    'pages.gig.replicas is 13, but topClients.kafka.partitions is 12',
    page({ replicas: 13, autoscaling: { maxReplicas: 12 } }),
  ],
];
