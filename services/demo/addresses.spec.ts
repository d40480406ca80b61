import { expect, test } from '@jest/globals';
import { portsFrom } from './addresses.ts';
import { PORTS_TAKEN } from './options.ts';
import { describeDemo } from './roles.ts';

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

test('every process has a name, a health port and a log of its own, and those that serve a port', () => {
  const processes = describeDemo(around).roles.flat();
  expect(new Set(processes.map(({ name }) => name)).size).toBe(processes.length);
  const healthPorts = processes.map(({ healthPort }) => healthPort);
  expect(new Set(healthPorts).size).toBe(processes.length);
  expect(healthPorts.every(Number.isInteger)).toBe(true);
  const ports = processes.flatMap(({ env }) => env['TC_PORT'] ?? []);
  expect(ports).toHaveLength(9);
  expect(new Set(ports).size).toBe(ports.length);
});
