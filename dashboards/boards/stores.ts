import { LIMITS } from '../objectives.ts';
import { calc, combine, max, min, since, sum } from '../promql.ts';
import { type BoardSpec, series } from './board.ts';

const NO_STRIMZI = 'Kafka is not run by Strimzi';
const NO_CNPG = 'PostgreSQL is not run by CloudNativePG';
const NO_BACKUPS = 'CloudNativePG archives nothing: postgres.cnpg.backup';

export const stores: BoardSpec = {
  name: 'stores',
  title: 'Top Clients: stores',
  description:
    'Kafka by Strimzi and PostgreSQL by CloudNativePG, in their own metrics: would the next failure lose or stop something? Empty where neither runs.',
  sections: [
    {
      title: 'Kafka: are all copies there?',
      height: 8,
      panels: [
        {
          kind: 'lines',
          title: 'Partitions short of copies',
          description:
            'A restart of a broker makes some for a while. Below the least in sync the relay cannot send; without a leader nobody reads the partition either.',
          unit: 'short',
          decimals: 0,
          colours: {
            'short of a copy': 'orange',
            'below the least in sync': 'red',
            'without a leader': 'red',
          },
          queries: [
            {
              expr: sum(series('kafka_server_replicamanager_underreplicatedpartitions')),
              legend: 'short of a copy',
            },
            {
              expr: sum(series('kafka_server_replicamanager_underminisrpartitioncount')),
              legend: 'below the least in sync',
            },
            {
              expr: max(series('kafka_controller_kafkacontroller_offlinepartitionscount')),
              legend: 'without a leader',
            },
          ],
          emptyWhen: NO_STRIMZI,
          linksTo: 'pipeline',
        },
        {
          kind: 'states',
          title: 'Does one controller lead?',
          description:
            'It elects leaders and takes changes of topics. What is led goes on without it for a while.',
          unit: 'bool',
          words: { 0: 'nobody', 1: 'led', good: 1 },
          queries: [
            {
              expr: max(series('kafka_controller_kafkacontroller_activecontrollercount')),
              legend: 'controller',
            },
          ],
          emptyWhen: NO_STRIMZI,
        },
      ],
    },
    {
      title: 'PostgreSQL: do standbys follow?',
      height: 8,
      panels: [
        {
          kind: 'lines',
          title: 'How far standbys are behind',
          description: 'Of each instance, as it sees it. Pages read no replica that is 10 s behind.',
          unit: 's',
          limits: { bad: LIMITS.standbyBehind },
          queries: [
            {
              expr: max(series('cnpg_pg_replication_lag'), 'cnpg_io_cluster', 'pod'),
              legend: '{{pod}}',
            },
          ],
          emptyWhen: NO_CNPG,
          linksTo: 'availability',
        },
        {
          kind: 'lines',
          title: 'Standbys that follow',
          description:
            'Of each cluster, counted by its primary. With synchronous writes of the source: below what they wait for, writes wait.',
          unit: 'short',
          decimals: 0,
          queries: [
            {
              expr: max(series('cnpg_pg_replication_streaming_replicas'), 'cnpg_io_cluster'),
              legend: '{{cnpg_io_cluster}}',
            },
          ],
          emptyWhen: NO_CNPG,
        },
      ],
    },
    {
      title: 'PostgreSQL: could it be restored?',
      height: 8,
      panels: [
        {
          kind: 'lines',
          title: 'Since the log was last archived',
          description:
            'What is newer is on the volumes alone. A segment is archived when it is full, or after five minutes with a write in them.',
          unit: 's',
          queries: [
            {
              expr: since(
                calc(max(series('cnpg_pg_stat_archiver_last_archived_time'), 'cnpg_io_cluster'), '>', 0),
              ),
              legend: '{{cnpg_io_cluster}}',
            },
          ],
          emptyWhen: NO_BACKUPS,
        },
        {
          kind: 'lines',
          title: 'Log that waits to be archived',
          description: 'Segments of 16 MB on the volume. A line that rises fills it.',
          unit: 'short',
          decimals: 0,
          queries: [
            {
              expr: max(
                series('cnpg_collector_pg_wal_archive_status', { value: 'ready' }),
                'cnpg_io_cluster',
              ),
              legend: '{{cnpg_io_cluster}}',
            },
          ],
          emptyWhen: NO_CNPG,
        },
        {
          kind: 'lines',
          title: 'Age of the last base backup',
          description: 'Of each cluster. It should stay below the distance of two in the schedule.',
          unit: 's',
          queries: [
            {
              // The plugin tells its own; CloudNativePG that of snapshots, and 0 where there is none.
              expr: min(
                combine(
                  since(
                    calc(
                      max(
                        series('barman_cloud_cloudnative_pg_io_last_available_backup_timestamp'),
                        'cnpg_io_cluster',
                      ),
                      '>',
                      0,
                    ),
                  ),
                  'or',
                  since(
                    calc(
                      max(series('cnpg_collector_last_available_backup_timestamp'), 'cnpg_io_cluster'),
                      '>',
                      0,
                    ),
                  ),
                ),
                'cnpg_io_cluster',
              ),
              legend: '{{cnpg_io_cluster}}',
            },
          ],
          emptyWhen: NO_BACKUPS,
        },
      ],
    },
  ],
};
