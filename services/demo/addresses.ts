import { PAGE_NAMES, SERVED_PAGES } from '#contracts/pages.ts';

/** The page that the lab shows under each delivery. */
export const LAB_PAGE = 'gig';

/** The variants of the lab's page: one for each delivery, from the same database. */
export type VariantName = 'off' | 'serial' | 'parallel' | 'hybrid' | 'asynchronous';

const LAB_SERVERS = ['lab-off', 'lab-serial', 'lab-parallel', 'lab-hybrid'] as const;

/** Every port of a demo: groups that people find, each with the offset of its first from the base of the demo. */
const GROUPS = [
  [0, ['lab', ...SERVED_PAGES, 'python-page', 'node-page']],
  [10, ['top-clients']],
  [20, LAB_SERVERS],
  [
    30,
    [
      ...(['delay-proxy', 'kafka', 'kafka-controller', 'postgres-pages'] as const),
      ...(['prometheus', 'grafana', 'postgres-source'] as const),
    ],
  ],
  [
    40,
    [
      ...(['health-top-clients', 'health-outbox-relay'] as const),
      ...PAGE_NAMES.map((page) => `health-projector-${page}` as const),
      `health-projector-${LAB_PAGE}-hybrid`,
      ...SERVED_PAGES.map((page) => `health-${page}` as const),
      ...LAB_SERVERS.map((name) => `health-${name}` as const),
      ...PAGE_NAMES.map((page) => `health-watch-${page}` as const),
      ...(['health-python-page', 'health-node-page'] as const),
      ...(['health-projector-python-page', 'health-projector-node-page'] as const),
    ],
  ],
] as const;

export type PortName = (typeof GROUPS)[number][1][number];
export type Ports = Readonly<Record<PortName, number>>;

/** The two PostgreSQL servers: what shows pages does not depend on the one of the source. */
export const SERVERS = ['postgres-source', 'postgres-pages'] as const;
export type ServerName = (typeof SERVERS)[number];

/** Where a database is. The self-view shows nothing without the source, so it depends on that server alone. */
export const serverOf = (database: string): ServerName =>
  database === 'source' || database === 'self_view' ? 'postgres-source' : 'postgres-pages';

/** The ports of the demo with its lab on `base`. */
export function portsFrom(base: number): Ports {
  return Object.fromEntries(
    GROUPS.flatMap(([first, names]) => names.map((name, i) => [name, base + first + i] as const)),
  ) as Ports;
}

/** The address for a browser on this machine. */
export const publicUrl = (port: number): string => `http://localhost:${port}`;
/** The address for other processes: a literal one needs no look-up and no attempt at IPv6. */
export const innerUrl = (port: number): string => `http://127.0.0.1:${port}`;
