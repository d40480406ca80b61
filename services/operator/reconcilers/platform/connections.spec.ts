import { expect, test } from '@jest/globals';
import { EXAMPLES, pageOf, platformOf } from '#cdk8s/testing/platforms.ts';
import type { ViewPage } from '#contracts/pages.ts';
import { connectionsFit, type Pages } from './connections.ts';

const pages = (specs: Readonly<Record<ViewPage, unknown>>): Pages =>
  Object.entries(specs).map(([name, spec]) => ({ name, spec: pageOf(name, spec).spec }));
const PAGES = pages({ gig: {}, user: {}, search: {} });
const CPU = { mode: 'cpu', maxReplicas: 6 } as const;

test('with the defaults all sessions fit', () => {
  const { status, reason, message } = connectionsFit(platformOf(), PAGES);
  expect([status, reason]).toEqual(['True', 'Fit']);
  expect(message).toMatch(/top-clients-postgres \d+ of 197 sessions, top-clients-postgres-pages \d+ of 197/);
});

test.each(Object.entries(EXAMPLES))('in an example all sessions fit: %s', (_, example) => {
  const { platform, pages: those } = example('shop');
  expect(connectionsFit(platform, those)).not.toMatchObject({ status: 'False' });
});

test('a source that may grow counts with all its pods and the one of a rollout', () => {
  const { status, message } = connectionsFit(
    platformOf({
      source: { autoscaling: { ...CPU, maxDatabaseConnections: 200 }, databasePool: 32 },
      selfView: { enabled: false },
    }),
    [],
  );
  // 7 pods of 32; three relays with two and a lease; jobs.
  expect(status).toBe('False');
  expect(message).toContain('would be asked for 238 ');
});

test('each page alone may fit, and all of them together not', () => {
  const server = { autoscaling: { ...CPU, maxDatabaseConnections: 66 } };
  const one = pages({ gig: { server } });
  const all = pages({ gig: { server }, user: { server }, search: { server } });
  expect(connectionsFit(platformOf(), one).status).toBe('True');
  const { status, reason, message } = connectionsFit(platformOf(), all);
  expect([status, reason]).toEqual(['False', 'TooFew']);
  expect(message).toContain('top-clients-postgres-pages takes 197 sessions');
  expect(message).toContain('raise postgres.embedded.maxConnections');
  expect(message).not.toContain('top-clients-postgres takes');
  // What it says helps.
  const wanted = Number(/maxConnections to (\d+)/.exec(message)![1]);
  const raised = (maxConnections: number) => platformOf({ postgres: { embedded: { maxConnections } } });
  expect(connectionsFit(raised(wanted), all).status).toBe('True');
  expect(connectionsFit(raised(wanted - 1), all).status).toBe('False');
  // As does a server for each page.
  expect(connectionsFit(platformOf({ postgres: { servers: 'each' } }), all).status).toBe('True');
});

test('the value to raise is that of the server which is crowded', () => {
  const server = { autoscaling: { ...CPU, maxReplicas: 20, maxDatabaseConnections: 220 } };
  const all = pages({ gig: { server }, user: { server } });
  const cnpg = (more: object) => platformOf({ postgres: { mode: 'cnpg', cnpg: more } });
  expect(connectionsFit(cnpg({}), all).message).toContain('raise postgres.cnpg.maxConnections');
  expect(connectionsFit(cnpg({ pages: { maxConnections: 200 } }), all).message).toContain(
    'raise postgres.cnpg.pages.maxConnections',
  );
  expect(connectionsFit(cnpg({ pages: { maxConnections: 900 } }), all).status).toBe('True');
});

test('a page that asks the source has no projectors, and more projectors than partitions do not count', () => {
  const sessions = (spec: object, partitions = 12): number => {
    const kafka = { mode: 'external', partitions, external: { brokers: ['kafka:9092'] } };
    const postgres = { mode: 'external', external: { existingSecret: 'databases' } };
    const { message } = connectionsFit(platformOf({ kafka, postgres }), pages({ gig: spec }));
    return Number(/gig (\d+)/.exec(message)![1]);
  };
  const projectors = { maxReplicas: 10 };
  const without = sessions({ delivery: 'synchronous' });
  expect(sessions({ autoscaling: projectors }) - without).toBe(10 * 3 + 2);
  expect(sessions({ autoscaling: projectors }, 4) - without).toBe(4 * 3 + 2);
  expect(sessions({ autoscaling: { ...projectors, mode: 'none' } }) - without).toBe(3 + 2);
});

test('of servers that are not ours it is said what each database is asked for', () => {
  const { status, reason, message } = connectionsFit(
    platformOf({ postgres: { mode: 'external', external: { existingSecret: 'databases' } } }),
    PAGES,
  );
  expect([status, reason]).toEqual(['Unknown', 'External']);
  for (const database of ['source', 'selfView', 'gig', 'user', 'search'])
    expect(message).toMatch(new RegExp(`${database} \\d+`));
});
