import type { DatabaseUser } from '#contracts/database-users.ts';
import { eachPage, PAGE_NAMES, SERVED_PAGES } from '#contracts/pages.ts';
import { credentialOf } from '../auth/caller-credential.ts';
import { AUDIENCE } from '../issuer/issuer.ts';
import { type ExamplePage, settingsOfExample } from '../local-stack/example-pages.ts';
import {
  type Addresses,
  describeRole,
  describeSystem,
  migrationOfExternal,
  type RoleDeclaration,
  type System,
  type SystemDeclaration,
} from '../local-stack/system.ts';
import { innerUrl, LAB_PAGE, type PortName, type Ports, publicUrl, type VariantName } from './addresses.ts';
import type { DemoOptions } from './options.ts';
import type { ViewInDatabase } from './views.ts';

/** One variant of the lab's page. */
const variant = (
  name: VariantName,
  how: { delivery: 'off' | 'synchronous' | 'hybrid'; parallel?: boolean },
): RoleDeclaration => ({ role: 'page-server', name: `lab-${name}`, page: LAB_PAGE, ...how });

const DEMO = {
  pages: {
    ...eachPage(() => [{ delivery: 'asynchronous' }] as const),
    [LAB_PAGE]: [{ delivery: 'asynchronous' }, { delivery: 'hybrid' }],
    'self-view': [],
  },
  roles: [
    [
      { role: 'top-clients', env: { TC_DATABASE_POOL: 8 } },
      { role: 'outbox-relay' },
      ...PAGE_NAMES.map((page) => ({ role: 'projector', page }) as const),
      { role: 'projector', page: LAB_PAGE, delivery: 'hybrid' },
    ],
    [
      ...SERVED_PAGES.map((page) => ({ role: 'page-server', page }) as const),
      variant('off', { delivery: 'off' }),
      variant('serial', { delivery: 'synchronous', parallel: false }),
      variant('parallel', { delivery: 'synchronous', parallel: true }),
      variant('hybrid', { delivery: 'hybrid' }),
    ],
    PAGE_NAMES.map((page) => ({ role: 'watch-view', page }) as const),
  ],
} satisfies SystemDeclaration;

/** The views of our own pages. */
export const OWN_VIEWS: readonly ViewInDatabase[] = PAGE_NAMES.flatMap((page) =>
  DEMO.pages[page].map(({ delivery }) => ({ page, delivery })),
);

/** The surroundings of the demo's processes. */
export interface Surroundings {
  readonly ports: Ports;
  readonly host: DemoOptions['host'];
  readonly brokers: string;
  readonly otlp: DemoOptions['otlp'];
  /** The key from which pages' credentials are made. */
  readonly callerKey: string;
  /** The address of a database for one of its users, or for the owner when none is named. */
  database(name: string, user?: DatabaseUser): string;
}

/** All addresses of the demo: pages reach the source through the proxy by which the lab can slow it. */
export const addressesIn = ({ ports, brokers, database, ...around }: Surroundings): Addresses => ({
  ...around,
  database: (name, user) => (user === 'owner' ? database(name) : database(name, user)),
  brokers: () => brokers,
  source: () => innerUrl(ports['delay-proxy']),
  port: (name) => ports[name as PortName],
  healthPort: (name) => ports[`health-${name}` as PortName],
  publicUrls: {
    ...eachPage((page) => publicUrl(ports[page])),
    'self-view': publicUrl(ports['self-view']),
  },
  issuer: {
    jwksUrl: `${innerUrl(ports.lab)}/.well-known/jwks.json`,
    issuer: publicUrl(ports.lab),
    audience: AUDIENCE,
    tokenUrl: `${innerUrl(ports.lab)}/token`,
  },
});

/**
 * The demo without PostgreSQL and Kafka, in groups of processes: source and pipeline, pages, and the views' watchers.
 */
export const describeDemo = (around: Surroundings): System => describeSystem(DEMO, addressesIn(around));

/** What a page of `examples` is to be started with: its view, the projector that fills it, and its own settings. */
export function describeExample(page: ExamplePage, around: Surroundings) {
  const at = addressesIn(around);
  const healthPort = at.healthPort(page);
  return {
    migration: migrationOfExternal(page, { delivery: 'asynchronous' }, at),
    projector: describeRole({ role: 'projector', page }, at),
    healthPort,
    env: settingsOfExample(page, {
      databaseUrl: at.database(page, 'page', page),
      source: { url: at.source(page), credential: credentialOf(at.callerKey, page) },
      host: around.host,
      port: at.port(page),
      healthPort,
    }),
  };
}
