import { AUDIENCE } from '../issuer/issuer.ts';
import { innerUrl, type PortName, type Ports, publicUrl, type VariantName } from './addresses.ts';
import type { DemoOptions } from './options.ts';

export const DATABASES = ['source', 'gig', 'user', 'search', 'self_view'] as const;
export type DatabaseName = (typeof DATABASES)[number];

/** One process: `node services/main.ts <role> <args>`. */
export interface RoleProcess {
  /** Of its log file and in messages; unique. */
  readonly name: string;
  readonly role: string;
  readonly args: readonly string[];
  readonly healthPort: number;
}

/** What the processes have to know of their surroundings. */
export interface Surroundings {
  readonly ports: Ports;
  readonly host: DemoOptions['host'];
  readonly brokers: string;
  readonly otlp: DemoOptions['otlp'];
  database(name: DatabaseName): string;
}

/** The roles that make traces. */
const TRACED = new Set(['top-clients', 'outbox-relay', 'projector', 'page-server']);

const flags = (settings: Readonly<Record<string, string | number>>): string[] =>
  Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);

/** What has to be done once before the roles start, each safe to repeat. */
export function migrations({ brokers, database }: Surroundings): { name: string; args: string[] }[] {
  const target = (name: string, settings: Record<string, string>) => ({
    name: `migrate-${name}`,
    args: flags({ target: name, ...settings }),
  });
  const hybrid = target('gig', { 'database-url': database('gig'), delivery: 'hybrid' });
  return [
    target('topics', { 'kafka-brokers': brokers }),
    target('source', { 'database-url': database('source') }),
    target('gig', { 'database-url': database('gig') }),
    { ...hybrid, name: 'migrate-gig-hybrid' },
    target('user', { 'database-url': database('user') }),
    target('search', { 'database-url': database('search') }),
    target('self-view', { 'database-url': database('self_view') }),
  ];
}

export const seedArgs = ({ database }: Surroundings, sellers: number): string[] =>
  flags({
    sellers,
    'source-database-url': database('source'),
    'gig-database-url': database('gig'),
    'user-database-url': database('user'),
    'search-database-url': database('search'),
    'self-view-database-url': database('self_view'),
  });

/**
 * Every process of the demo beside PostgreSQL and Kafka, in the order in which they start, group by group: what is
 * in a group starts and stops together.
 */
export function roleProcesses(around: Surroundings): readonly (readonly RoleProcess[])[] {
  const { ports, host, brokers, otlp, database } = around;
  // Who looks at a demo wants to see what they did, not one request in a hundred.
  const traces = otlp ? { 'otel-exporter-otlp-endpoint': otlp, 'otel-traces-sampler-arg': 1 } : {};
  const process = (
    name: string,
    role: string,
    settings: Readonly<Record<string, string | number>>,
  ): RoleProcess => {
    const healthPort = ports[`health-${name}` as PortName];
    const tracing = TRACED.has(role) ? traces : {};
    return {
      name,
      role,
      healthPort,
      args: flags({ ...settings, ...tracing, 'health-port': healthPort, 'health-host': '127.0.0.1' }),
    };
  };
  const tokens = {
    'jwks-url': `${innerUrl(ports.lab)}/.well-known/jwks.json`,
    'jwt-issuer': publicUrl(ports.lab),
    'jwt-audience': AUDIENCE,
  };
  const projector = (page: 'gig' | 'user' | 'search', delivery: 'asynchronous' | 'hybrid' = 'asynchronous') =>
    process(delivery === 'hybrid' ? `projector-${page}-hybrid` : `projector-${page}`, 'projector', {
      page,
      delivery,
      'database-url': database(page),
      'kafka-brokers': brokers,
    });
  const watcher = (page: 'gig' | 'user' | 'search') =>
    process(`watch-${page}`, 'watch-view', {
      page,
      'database-url': database(page),
      'source-database-url': database('source'),
      'kafka-brokers': brokers,
    });
  // Pages ask for the source where the lab can slow it.
  const page = (name: string, port: number, settings: Readonly<Record<string, string | number>>) =>
    process(name, 'page-server', {
      port,
      host,
      'source-url': innerUrl(ports['delay-proxy']),
      'gig-url': publicUrl(ports.gig),
      'user-url': publicUrl(ports.user),
      'search-url': publicUrl(ports.search),
      'self-view-url': publicUrl(ports['self-view']),
      ...settings,
    });
  const variant = (name: VariantName, settings: Readonly<Record<string, string>>) =>
    page(`lab-${name}`, ports[`lab-${name}` as PortName], {
      page: 'gig',
      'database-url': database('gig'),
      ...settings,
    });
  return [
    [
      process('top-clients', 'top-clients', {
        port: ports['top-clients'],
        host,
        'database-url': database('source'),
        'database-pool': 8,
        ...tokens,
      }),
      process('outbox-relay', 'outbox-relay', {
        'database-url': database('source'),
        'kafka-brokers': brokers,
      }),
      projector('gig'),
      projector('user'),
      projector('search'),
      projector('gig', 'hybrid'),
    ],
    [
      page('gig', ports.gig, { page: 'gig', 'database-url': database('gig') }),
      page('user', ports.user, { page: 'user', 'database-url': database('user') }),
      page('search', ports.search, { page: 'search', 'database-url': database('search') }),
      page('self-view', ports['self-view'], {
        page: 'self-view',
        'database-url': database('self_view'),
        'token-url': `${innerUrl(ports.lab)}/token`,
        ...tokens,
      }),
      variant('off', { delivery: 'off' }),
      variant('serial', { delivery: 'synchronous', parallel: 'false' }),
      variant('parallel', { delivery: 'synchronous', parallel: 'true' }),
      variant('hybrid', { delivery: 'hybrid' }),
    ],
    [watcher('gig'), watcher('user'), watcher('search')],
  ];
}
