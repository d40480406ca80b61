import { expect, test } from '@jest/globals';
import { z } from 'zod';
import { readConfig, setting } from '#platform/config.ts';
import { portsFrom } from './addresses.ts';
import { PORTS_TAKEN } from './options.ts';
import { roleProcesses } from './roles.ts';

test('the addresses are those of the documentation, and move with the base', () => {
  expect(portsFrom(8080)).toMatchObject({
    lab: 8080,
    gig: 8081,
    user: 8082,
    search: 8083,
    'self-view': 8084,
    'top-clients': 8090,
  });
  expect(portsFrom(9080)).toMatchObject({ lab: 9080, 'top-clients': 9090 });
});

test('no port is used twice, and none beyond what one demo may take', () => {
  const all = Object.values(portsFrom(8080));
  expect(new Set(all).size).toBe(all.length);
  expect(Math.max(...all)).toBeLessThan(8080 + PORTS_TAKEN);
});

const around = {
  ports: portsFrom(8080),
  host: '127.0.0.1',
  brokers: '127.0.0.1:1',
  otlp: undefined,
  callerKey: 'k'.repeat(32),
  database: (name: string) => `postgres://localhost/${name}`,
};

test('every process has a name, a health port and a log of its own', () => {
  const processes = roleProcesses(around).flat();
  expect(new Set(processes.map(({ name }) => name)).size).toBe(processes.length);
  const healthPorts = processes.map(({ healthPort }) => healthPort);
  expect(new Set(healthPorts).size).toBe(processes.length);
  expect(healthPorts.every(Number.isInteger)).toBe(true);
});

test('with an address for traces every process that makes some is given it, and takes it', async () => {
  const otlp = 'http://localhost:4318';
  const roles = {
    'top-clients': () => import('../top-clients/main.ts'),
    'outbox-relay': () => import('../outbox-relay/main.ts'),
    projector: () => import('../projector/main.ts'),
    'page-server': () => import('../page-server/main.ts'),
  };
  const processes = roleProcesses({ ...around, otlp }).flat();
  for (const { name, role, args } of processes) {
    const load = roles[role as keyof typeof roles];
    const told = args.includes('--otel-exporter-otlp-endpoint');
    expect([name, told]).toEqual([name, load !== undefined]);
    if (!load) continue;
    const { settings } = (await load()).role;
    const health = {
      healthPort: setting('TC_HEALTH_PORT', 'port', z.string()),
      healthHost: setting('TC_HEALTH_HOST', 'address', z.literal('127.0.0.1')),
    };
    expect(readConfig(name, { ...settings, ...health }, args, {})).toMatchObject({
      otlpEndpoint: otlp,
      traceRatio: 1,
    });
  }
  expect(processes.length).toBeGreaterThan(10);
});
