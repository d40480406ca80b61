import { expect, test } from '@jest/globals';
import { z } from 'zod';
import { readConfig, setting } from '#platform/config.ts';
import { ROLES } from '../roles.ts';
import {
  type Addresses,
  describeRole,
  describeSeed,
  describeSystem,
  type SystemDeclaration,
} from './system.ts';

const EVERYTHING: SystemDeclaration = {
  pages: {
    gig: [{ delivery: 'asynchronous' }, { delivery: 'hybrid' }, { delivery: 'asynchronous', version: 2 }],
    user: [],
    'self-view': [],
  },
  roles: [
    [
      { role: 'top-clients', env: { TC_WRITES_PER_MINUTE: 0 } },
      { role: 'outbox-relay' },
      { role: 'outbox-relay', name: 'second-relay' },
      { role: 'projector', page: 'gig' },
      { role: 'projector', page: 'gig', delivery: 'hybrid' },
    ],
    [
      { role: 'page-server', page: 'gig', delivery: 'asynchronous' },
      { role: 'page-server', page: 'user', delivery: 'synchronous', parallel: false },
      { role: 'page-server', page: 'self-view' },
      { role: 'watch-view', page: 'gig' },
    ],
  ],
  partitions: 3,
};
const ADDRESSES: Addresses = {
  database: (database, user) => `postgresql://${user}@127.0.0.1:1/${database}`,
  brokers: () => '127.0.0.1:2',
  source: () => 'http://127.0.0.1:3',
  port: (name) => 10_000 + name.length,
  healthPort: (name) => 20_000 + name.length,
  issuer: {
    jwksUrl: 'http://127.0.0.1:4/keys',
    issuer: 'i',
    audience: 'a',
    tokenUrl: 'http://127.0.0.1:4/token',
  },
  callerKey: 'k'.repeat(32),
};

const HEALTH = {
  healthPort: setting('TC_HEALTH_PORT', 'port', z.string().optional()),
  healthHost: setting('TC_HEALTH_HOST', 'address', z.literal('127.0.0.1').optional()),
};

test('every process takes the settings it is given', async () => {
  for (const at of [ADDRESSES, { ...ADDRESSES, host: '127.0.0.1', otlp: 'http://127.0.0.1:4318' }]) {
    const { roles, migrations } = describeSystem(EVERYTHING, at);
    for (const { name, role, env } of [...migrations, describeSeed(20, at), ...roles.flat()]) {
      const { settings } = (await ROLES[role]!()).role;
      expect(() => readConfig(name, { ...settings, ...HEALTH }, [], env)).not.toThrow();
    }
  }
});

test('with an address for traces everybody who makes some records all of them, and nobody without', () => {
  const traced = (otlp?: string) =>
    describeSystem(EVERYTHING, { ...ADDRESSES, otlp })
      .roles.flat()
      .filter(({ env }) => env['OTEL_EXPORTER_OTLP_ENDPOINT'] && env['OTEL_TRACES_SAMPLER_ARG'] === '1')
      .map(({ role }) => role);
  expect(traced()).toEqual([]);
  expect(new Set(traced('http://127.0.0.1:4318'))).toEqual(
    new Set(['top-clients', 'outbox-relay', 'projector', 'page-server']),
  );
});

test('processes, databases and migrations are those declared, each under a name of its own', () => {
  const { databases, migrations, roles, topic } = describeSystem(EVERYTHING, ADDRESSES);
  expect(databases).toEqual(['source', 'gig', 'user', 'self_view']);
  expect(topic.partitions).toBe(3);
  expect(migrations.map(({ name }) => name)).toEqual([
    'migrate-topics',
    'migrate-source',
    'migrate-gig',
    'migrate-gig-hybrid',
    'migrate-gig-asynchronous-v2',
    'migrate-user',
    'migrate-self-view',
  ]);
  expect(roles.map((group) => group.map(({ name }) => name))).toEqual([
    ['top-clients', 'outbox-relay', 'second-relay', 'projector-gig', 'projector-gig-hybrid'],
    ['gig', 'user', 'self-view', 'watch-gig'],
  ]);
});

test('each process signs in to each database as its own user', () => {
  const users = (role: string) =>
    describeSystem(EVERYTHING, ADDRESSES)
      .roles.flat()
      .filter((one) => one.role === role)
      .flatMap(({ env }) => Object.values(env).filter((value) => value.startsWith('postgresql://')))
      .map((address) => new URL(address).username);
  expect(new Set(users('top-clients'))).toEqual(new Set(['source']));
  expect(new Set(users('outbox-relay'))).toEqual(new Set(['relay']));
  expect(new Set(users('projector'))).toEqual(new Set(['projector']));
  expect(new Set(users('page-server'))).toEqual(new Set(['page']));
  expect(users('watch-view')).toEqual(['watcher', 'watcher']);
});

test('what is told of a process takes the place of what is between it and the others', () => {
  const gated: Addresses = {
    ...ADDRESSES,
    brokers: (from) => (from === 'second-relay' ? '127.0.0.1:7' : '127.0.0.1:2'),
  };
  const brokers = (name: string) =>
    describeRole({ role: 'outbox-relay', name }, gated).env['TC_KAFKA_BROKERS'];
  expect([brokers('outbox-relay'), brokers('second-relay')]).toEqual(['127.0.0.1:2', '127.0.0.1:7']);
});
