/** PostgreSQL and Kafka themselves: killed, hanging, or down for minutes. */
import type { Fault } from './fault.ts';
import { type FaultWorld, ROLE_NAMES } from './world.ts';

const toKafka = (world: FaultWorld) => ROLE_NAMES.flatMap((name) => world.role(name).gates['kafka'] ?? []);

const RELAY_STUCK = { anyOf: ['TopClientsRelayStuck'], afterSeconds: 8 } as const;

const postgresFaults = (which: 'source' | 'pages'): Fault[] => {
  const shared = {
    touches: `postgres-${which}`,
    pages: which === 'pages' ? 'answer or refuse' : 'answer',
    // Commits of view rows do not wait for the disk: a crash loses the last moments, and the rows are applied again.
    viewMayGoBack: which === 'pages',
  } as const;
  return [
    {
      ...shared,
      name: `kill-postgres-${which}`,
      about: `kill -9 of the PostgreSQL of the ${which}; it recovers and starts again`,
      async inject({ world }) {
        world.postgres[which].kill('SIGKILL');
        return async () => {};
      },
    },
    {
      ...shared,
      name: `restart-postgres-${which}`,
      about: `a fast shutdown of the PostgreSQL of the ${which}, and a start`,
      async inject({ world }) {
        const restarted = world.postgres[which].restart();
        return () => restarted;
      },
    },
  ];
};

export const servers: readonly Fault[] = [
  {
    name: 'kill-kafka',
    about: 'kill -9 of Kafka; it starts again at once',
    touches: 'kafka',
    pages: 'answer',
    async inject({ world }) {
      world.kafka.kill('SIGKILL');
      return async () => {};
    },
  },
  {
    name: 'hang-kafka',
    about: 'SIGSTOP of Kafka',
    touches: 'kafka',
    pages: 'answer',
    seconds: [3, 10],
    signal: RELAY_STUCK,
    async inject({ world }) {
      world.kafka.kill('SIGSTOP');
      return async () => world.kafka.kill('SIGCONT');
    },
  },
  {
    name: 'restart-kafka',
    about: 'a graceful restart of Kafka',
    touches: 'kafka',
    pages: 'answer',
    async inject({ world }) {
      const restarted = world.kafka.restart();
      return () => restarted;
    },
  },
  {
    name: 'kafka-down',
    about: 'Kafka killed, and out of reach for more than a minute',
    touches: 'kafka',
    pages: 'answer',
    seconds: [65, 90],
    signal: RELAY_STUCK,
    fromMinutes: 8,
    async inject({ world }) {
      world.kafka.kill('SIGKILL');
      for (const gate of toKafka(world)) gate.cut();
      return async () => {
        for (const gate of toKafka(world)) gate.open();
      };
    },
  },
  ...postgresFaults('source'),
  ...postgresFaults('pages'),
];
