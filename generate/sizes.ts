import { RECOMMENDED, type Recommendation, type RecommendedRole } from '#cdk8s/api/recommended.ts';
import { amountOf } from '#cdk8s/api/rules.ts';
import { replaceBetweenMarkers } from '../bench/markers.ts';

/** When there have to be more pods of a role. */
const MORE: Readonly<Record<RecommendedRole, string>> = {
  source: 'its CPU, [by itself](#services-that-scale-themselves) or by you; two for availability',
  relay:
    'never for speed before the outbox grows: one leads a shard. Then more `relay.shards`, with as many pods',
  projector:
    'the autoscaler does: one more for each `autoscaling.lagThreshold` records, to at most the partitions',
  'page server': 'its CPU, by itself or by you; two for availability',
  'self-view': 'its CPU, by itself or by you; two for availability',
  watcher: 'never: one a page',
  operator: 'never: one leads, the other takes over',
};
const CONNECTIONS: Readonly<Partial<Record<RecommendedRole, string>>> = {
  source: '`source.databasePool`, 16',
  projector: '3',
  'page server': '`server.databasePool`, 10, and 1',
  'self-view': '11',
};

/** The share of a core that a process is planned to: the rest is for bursts, and for a neighbour that fails. */
const PLANNED = 0.5;

const figures = ({ cpu, work }: Recommendation): readonly string[] => {
  if (work === null) return ['–', '–', '–'];
  const at = (cores: number) => Math.floor((cores * 1e6) / work.micros).toLocaleString('en-US');
  const link = `[${work.micros} µs per ${work.unit}](../../${work.measured})`;
  return [link, `${at(amountOf(cpu))}/s`, `${at(PLANNED)}/s`];
};

/** What a pod of each role gets unless told otherwise, and what that carries. */
export function sizesTable(): string {
  const rows = Object.entries(RECOMMENDED).map(([name, role]: [string, Recommendation]) => [
    name,
    `${role.cpu} CPU, ${role.memory}`,
    CONNECTIONS[name as RecommendedRole] ?? '–',
    ...figures(role),
    role.peak === null ? '–' : `[${role.peak.megabytes} MB](../../${role.peak.measured})`,
    MORE[name as RecommendedRole],
  ]);
  const head = [
    'part',
    'one pod, by default',
    'connections',
    'measured cost',
    'its request carries',
    'half a core carries',
    'memory at the most',
    'when to add',
  ];
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** The document with the present table. */
export const withSizes = (document: string): string => replaceBetweenMarkers(document, 'sizes', sizesTable());
