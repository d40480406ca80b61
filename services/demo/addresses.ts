/** The variants of the gig page in the lab: one for each delivery, from the same database. */
export type VariantName = 'off' | 'serial' | 'parallel' | 'hybrid' | 'asynchronous';

/** Every port of a demo, as an offset from its base, in groups that people find: pages, API, lab, inner, health. */
const OFFSETS = {
  lab: 0,
  gig: 1,
  user: 2,
  search: 3,
  'self-view': 4,
  'python-page': 5,
  'node-page': 6,
  'top-clients': 10,
  'lab-off': 20,
  'lab-serial': 21,
  'lab-parallel': 22,
  'lab-hybrid': 23,
  'delay-proxy': 30,
  kafka: 31,
  'kafka-controller': 32,
  'postgres-pages': 33,
  prometheus: 34,
  grafana: 35,
  'postgres-source': 36,
  'health-top-clients': 40,
  'health-outbox-relay': 41,
  'health-projector-gig': 42,
  'health-projector-user': 43,
  'health-projector-search': 44,
  'health-projector-gig-hybrid': 45,
  'health-gig': 46,
  'health-user': 47,
  'health-search': 48,
  'health-self-view': 49,
  'health-lab-off': 50,
  'health-lab-serial': 51,
  'health-lab-parallel': 52,
  'health-lab-hybrid': 53,
  'health-watch-gig': 54,
  'health-watch-user': 55,
  'health-watch-search': 56,
  'health-python-page': 57,
  'health-node-page': 58,
  'health-projector-python-page': 59,
  'health-projector-node-page': 60,
} as const;

export type PortName = keyof typeof OFFSETS;
export type Ports = Readonly<Record<PortName, number>>;

/** The two PostgreSQL servers: what shows pages does not depend on the one of the source. */
export const SERVERS = ['postgres-source', 'postgres-pages'] as const;
export type ServerName = (typeof SERVERS)[number];

/** Where a database is. The self-view shows nothing without the source, so it depends on that server alone. */
export const serverOf = (database: string): ServerName =>
  database === 'source' || database === 'self_view' ? 'postgres-source' : 'postgres-pages';

/** The ports of the demo with its lab on `base`. */
export function portsFrom(base: number): Ports {
  return Object.fromEntries(Object.entries(OFFSETS).map(([name, offset]) => [name, base + offset])) as Ports;
}

/** The address for a browser on this machine. */
export const publicUrl = (port: number): string => `http://localhost:${port}`;
/** The address for other processes: a literal one needs no look-up and no attempt at IPv6. */
export const innerUrl = (port: number): string => `http://127.0.0.1:${port}`;
