import { afterEach, expect, test } from '@jest/globals';
import { pause } from '#platform/lifecycle.ts';
import { silentLog } from '#platform/log.ts';
import { type Kube, KubeError, type StoredObject } from './kube.ts';
import { type Election, type ElectionSettings, startElection, type Term } from './leader.ts';

type LeaseKube = Pick<Kube, 'get' | 'create' | 'replace'>;

/** One lease with the API server's compare-and-swap. */
class Server implements LeaseKube {
  lease: StoredObject | null = null;
  #version = 0;
  readonly writes: string[] = [];
  #store(object: object): StoredObject {
    this.#version += 1;
    const { metadata } = object as StoredObject;
    this.lease = {
      ...(object as StoredObject),
      metadata: { ...metadata, uid: 'u', resourceVersion: String(this.#version) },
    };
    this.writes.push(this.lease.spec.holderIdentity ?? '');
    return structuredClone(this.lease);
  }
  async get() {
    return structuredClone(this.lease);
  }
  async create(object: object) {
    if (this.lease) throw new KubeError('there is one', 409, 'AlreadyExists');
    return this.#store(object);
  }
  async replace(object: StoredObject) {
    if (!this.lease) throw new KubeError('there is none', 404, 'NotFound');
    if (object.metadata.resourceVersion !== this.lease.metadata.resourceVersion) {
      throw new KubeError('somebody was faster', 409, 'Conflict');
    }
    return this.#store(object);
  }
}
/** A candidate's own way to the server, which can be cut. */
function wayTo(server: LeaseKube) {
  const way = {
    /** Throws to fail before the server, or returns 'lost' to fail after it. */
    fault: (_: keyof LeaseKube): 'lost' | undefined => undefined,
    kube: {} as LeaseKube,
  };
  for (const verb of ['get', 'create', 'replace'] as const) {
    way.kube[verb] = async (object: never) => {
      const lost = way.fault(verb) === 'lost';
      const answer = await server[verb](object);
      if (lost) throw new KubeError('no answer', 0, 'Unreachable');
      return answer as never;
    };
  }
  return way;
}
const cut = (): never => {
  throw new KubeError('no way through', 0, 'Unreachable');
};

// A machine that is busy for a second shall not cost anybody the lease here.
const TIMING = {
  leaseMs: 2_000,
  validMs: 1_400,
  renewEveryMs: 150,
  tryEveryMs: 30,
  endMs: 100,
  strangerMs: 3_500,
  announceEveryMs: 400,
};
const elections: Election[] = [];
const stand = (
  identity: string,
  kube: LeaseKube,
  lead: (term: Term) => Promise<void> = ended,
  settings: Partial<ElectionSettings> = {},
): Election => {
  const election = startElection({
    kube,
    namespace: 'shop',
    name: 'operator',
    identity,
    operator: 'shop/operator',
    lead,
    log: silentLog,
    timing: TIMING,
    ...settings,
  });
  elections.push(election);
  return election;
};
/** Work that ends as soon as it shall. */
const ended = ({ ending }: Term) =>
  new Promise<void>((resolve) => {
    if (ending.aborted) resolve();
    ending.addEventListener('abort', () => resolve());
  });
async function until(holds: () => boolean): Promise<number> {
  const began = performance.now();
  for (; !holds(); await pause(2)) {
    if (performance.now() - began > 5_000) throw new Error(`never: ${holds}`);
  }
  return performance.now() - began;
}

afterEach(async () => {
  await Promise.all(elections.splice(0).map((one) => one.stop()));
});

test('the first who stands leads at once, and the second does not', async () => {
  const server = new Server();
  const told: boolean[] = [];
  const a = stand('a', server, ended, { onLeads: (leads) => told.push(leads) });
  await until(() => a.isLeader());
  const b = stand('b', server);
  await pause(2_500);
  expect([a.isLeader(), b.isLeader()]).toEqual([true, false]);
  expect(server.lease?.spec).toMatchObject({
    holderIdentity: 'a',
    leaseDurationSeconds: 2,
    leaseTransitions: 1,
  });
  expect(server.lease?.spec.renewTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  expect(server.lease!.spec.renewTime > server.lease!.spec.acquireTime).toBe(true);
  await a.stop();
  expect(told).toEqual([true, false]);
});

test('a leader that stops hands over at once, after its work has ended', async () => {
  const server = new Server();
  let working = true;
  const a = stand('a', server, async (term) => {
    await ended(term);
    await pause(50);
    working = false;
  });
  await until(() => a.isLeader());
  let overlapped = false;
  const b = stand('b', server, async (term) => {
    overlapped = working;
    await ended(term);
  });
  await pause(50);
  const stopped = a.stop();
  expect(a.isLeader()).toBe(false);
  expect(await until(() => b.isLeader())).toBeLessThan(TIMING.leaseMs / 2);
  await stopped;
  expect(overlapped).toBe(false);
});

test('work that does not end in time is broken off before the lease is given back', async () => {
  const server = new Server();
  const order: string[] = [];
  const a = stand('a', server, async ({ ending, lost }) => {
    ending.addEventListener('abort', () => order.push('ending'));
    await new Promise((resolve) => lost.addEventListener('abort', resolve));
    order.push(`lost, held by ${server.lease?.spec.holderIdentity}`);
  });
  await until(() => a.isLeader());
  await a.stop();
  expect(order).toEqual(['ending', 'lost, held by a']);
  expect(server.lease?.spec.holderIdentity).toBeUndefined();
});

test('a leader cut off stops before another can take the lease, and stands again when it is back', async () => {
  const server = new Server();
  const way = wayTo(server);
  let lostAt = 0;
  let terms = 0;
  const a = stand('a', way.kube, async (term) => {
    terms += 1;
    term.lost.addEventListener('abort', () => {
      lostAt ||= performance.now();
    });
    await ended(term);
  });
  await until(() => a.isLeader());
  const b = stand('b', server);
  await pause(150);
  way.fault = cut;
  const cutAt = performance.now();
  await until(() => b.isLeader());
  const ledAt = performance.now();
  expect(a.isLeader()).toBe(false);
  // Both are counted from the last renewal, which was before the cut.
  expect(lostAt).toBeGreaterThan(cutAt);
  expect(lostAt - cutAt).toBeLessThan(TIMING.validMs + 200);
  expect(ledAt - lostAt).toBeGreaterThan(200);
  way.fault = () => undefined;
  await pause(200);
  expect(b.isLeader()).toBe(true);
  await b.stop();
  await until(() => a.isLeader());
  expect(terms).toBe(2);
});

test('a leader that slept through its timers knows by the clock', async () => {
  const server = new Server();
  const a = stand('a', server);
  await until(() => a.isLeader());
  // Nothing else runs meanwhile, no timer either.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, TIMING.validMs + 100);
  expect(a.isLeader()).toBe(false);
});

test('renewals that fail now and then do not cost the leadership', async () => {
  const server = new Server();
  const way = wayTo(server);
  const told: boolean[] = [];
  const a = stand('a', way.kube, ended, { onLeads: (leads) => told.push(leads) });
  await until(() => a.isLeader());
  let turn = 0;
  way.fault = (verb) => {
    if (verb !== 'replace') return undefined;
    turn += 1;
    // Once the request is lost, once the answer: the next try meets a version it does not know.
    if (turn % 3 === 1) cut();
    return turn % 3 === 2 ? 'lost' : undefined;
  };
  await pause(3_000);
  expect(turn).toBeGreaterThan(5);
  expect(told).toEqual([true]);
});

test('taking it without an answer is noticed, and not waited out', async () => {
  const server = new Server();
  const way = wayTo(server);
  let once = true;
  way.fault = (verb) => {
    if (verb !== 'create' || !once) return undefined;
    once = false;
    return 'lost';
  };
  const a = stand('a', way.kube);
  expect(await until(() => a.isLeader())).toBeLessThan(TIMING.leaseMs / 2);
});

test('a lease that somebody deletes is made anew by its leader, and not taken by another meanwhile', async () => {
  const server = new Server();
  const way = wayTo(server);
  const a = stand('a', way.kube);
  await until(() => a.isLeader());
  const b = stand('b', server);
  await pause(100);
  way.fault = cut;
  server.lease = null;
  await pause(300);
  // The leader does not know yet.
  expect([a.isLeader(), b.isLeader()]).toEqual([true, false]);
  way.fault = () => undefined;
  await until(() => server.lease?.spec.holderIdentity === 'a');
  await pause(TIMING.leaseMs + 200);
  expect([a.isLeader(), b.isLeader()]).toEqual([true, false]);
});

test('work that fails gives the lease back, for another to try', async () => {
  const server = new Server();
  const a = stand('a', server, async () => {
    throw new Error('no disk');
  });
  await until(() => server.writes.length >= 2);
  expect(server.writes).toEqual(['a', '']);
  expect(a.isLeader()).toBe(false);
  const b = stand('b', server);
  expect(await until(() => b.isLeader())).toBeLessThan(TIMING.leaseMs / 2);
});

test('a lease of somebody who promised longer is waited for longer', async () => {
  const server = new Server();
  await server.create({
    metadata: { name: 'operator' },
    spec: { holderIdentity: 'old', leaseDurationSeconds: 3 },
  });
  const a = stand('a', server);
  expect(await until(() => a.isLeader())).toBeGreaterThan(2_990);
});

test('of many who stand at once one leads', async () => {
  const server = new Server();
  const all = Array.from({ length: 10 }, (_, i) => stand(`${i}`, server));
  await until(() => all.some((one) => one.isLeader()));
  for (let i = 0; i < 50; i++) {
    expect(all.filter((one) => one.isLeader())).toHaveLength(1);
    await pause(10);
  }
});

test('a candidate that is stopped without ever leading leaves the lease alone', async () => {
  const server = new Server();
  const a = stand('a', server);
  await until(() => a.isLeader());
  const b = stand('b', server);
  await pause(50);
  await b.stop();
  expect(server.lease?.spec.holderIdentity).toBe('a');
});

/** Elsewhere, with `shop` among its namespaces. */
const WIDE = { operator: 'ops/operator' };

test('an operator elsewhere leaves a namespace to the one that leads there, and each is told of the other', async () => {
  const server = new Server();
  const rivals: string[][] = [];
  const ledBy: (string | null)[] = [];
  const own = stand('own', server, ended, { onRivals: (now) => rivals.push([...now]) });
  await until(() => own.isLeader());
  const wide = stand('wide', server, ended, { ...WIDE, onLedBy: (other) => ledBy.push(other) });
  const more = stand('more', server, ended, { operator: 'more/operator' });
  await until(() => rivals.at(-1)?.length === 2);
  expect(rivals.at(-1)).toEqual(['more/operator', 'ops/operator']);
  expect(new Set(ledBy)).toEqual(new Set(['shop/operator']));
  // Being told of them costs the leader nothing.
  expect([own.isLeader(), wide.isLeader(), more.isLeader()]).toEqual([true, false, false]);
  await Promise.all([wide.stop(), more.stop()]);
  await until(() => rivals.at(-1)?.length === 0);
  await until(() => !JSON.stringify(server.lease).includes('ops/'));
});

test('it does not take a namespace while the operator there is upgraded', async () => {
  const server = new Server();
  const old = stand('old', server);
  await until(() => old.isLeader());
  const wide = stand('wide', server, ended, WIDE);
  await old.stop();
  await pause(600);
  expect(wide.isLeader()).toBe(false);
  const next = stand('next', server);
  expect(await until(() => next.isLeader())).toBeLessThan(1_000);
});

test('it takes one that its operator has left for good, and then that one waits for it', async () => {
  const server = new Server();
  const own = stand('own', server);
  await until(() => own.isLeader());
  const ledBy: (string | null)[] = [];
  const wide = stand('wide', server, ended, { ...WIDE, onLedBy: (other) => ledBy.push(other) });
  await until(() => ledBy.length > 0);
  await own.stop();
  expect(await until(() => wide.isLeader())).toBeGreaterThan(3_000);
  expect(ledBy.at(-1)).toBeNull();
  const back = stand('back', server);
  await pause(1_000);
  expect([wide.isLeader(), back.isLeader()]).toEqual([true, false]);
});

test('a lease that does not say whose it is belongs to the operator of its namespace', async () => {
  const server = new Server();
  const own = stand('own', server);
  await until(() => own.isLeader());
  await own.stop();
  const { annotations: _, ...metadata } = server.lease!.metadata;
  server.lease = { ...server.lease!, metadata };
  const wide = stand('wide', server, ended, WIDE);
  await pause(300);
  expect(wide.isLeader()).toBe(false);
  const next = stand('next', server);
  expect(await until(() => next.isLeader())).toBeLessThan(1_000);
});
