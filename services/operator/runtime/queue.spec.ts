import { afterEach, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { pause } from '#platform/lifecycle.ts';
import { silentLog } from '#platform/log.ts';
import { KubeError } from './kube.ts';
import { Queue, type QueueSettings } from './queue.ts';

let queue: Queue;
const start = (reconcile: QueueSettings['reconcile'], settings: Partial<QueueSettings> = {}): Queue => {
  queue = new Queue({
    reconcile,
    workers: 2,
    log: silentLog,
    firstRetryMs: 20,
    maxRetryMs: 200,
    ...settings,
  });
  return queue;
};
async function until(holds: () => boolean): Promise<void> {
  for (const began = performance.now(); !holds(); await pause(2)) {
    if (performance.now() - began > 5_000) throw new Error(`never: ${holds}`);
  }
}
/** Reconciles that end when told. */
function held() {
  const open: { key: string; end: () => void; fail: (err: Error) => void }[] = [];
  return {
    open,
    reconcile: (key: string) =>
      new Promise<undefined>((resolve, reject) =>
        open.push({ key, end: () => resolve(undefined), fail: reject }),
      ),
  };
}

afterEach(() => queue.stop(0));

test('a key that waits is not queued twice', async () => {
  const work = held();
  start(work.reconcile, { workers: 1 });
  for (const key of ['a', 'b', 'b', 'c', 'b']) queue.add(key);
  expect(queue.depth).toBe(2);
  for (let i = 0; i < 3; i++) {
    await until(() => work.open.length === i + 1);
    work.open[i]!.end();
  }
  await until(() => queue.size === 0);
  expect(work.open.map(({ key }) => key)).toEqual(['a', 'b', 'c']);
});

test('a change that comes in while its key runs has it run again, after and not beside', async () => {
  const work = held();
  start(work.reconcile);
  queue.add('a');
  queue.add('a');
  queue.add('a');
  await pause(10);
  expect(work.open).toHaveLength(1);
  work.open[0]!.end();
  await until(() => work.open.length === 2);
  work.open[1]!.end();
  await until(() => queue.size === 0);
  expect(work.open).toHaveLength(2);
});

test('a delay that ends while its key runs has it run again after', async () => {
  const work = held();
  start(work.reconcile);
  queue.add('a');
  queue.addAfter('a', 5);
  await pause(30);
  expect(work.open).toHaveLength(1);
  work.open[0]!.end();
  await until(() => work.open.length === 2);
});

test('workers run different keys at the same time, and no more than there are', async () => {
  const work = held();
  start(work.reconcile, { workers: 3 });
  for (let i = 0; i < 10; i++) queue.add(`${i}`);
  expect(work.open).toHaveLength(3);
  expect(queue.depth).toBe(7);
});

/** What the queue says it waits, in ms: a clock would also tell how busy the machine is. */
function saidWaits() {
  const waits: number[] = [];
  const warn = (said: { requeueAfterMs: number }) => waits.push(said.requeueAfterMs);
  return { waits, log: { ...silentLog, warn } as unknown as typeof silentLog };
}

test('a failing key is tried again, later each time, up to the longest wait', async () => {
  const { waits, log } = saidWaits();
  const at: number[] = [];
  start(
    async () => {
      at.push(performance.now());
      throw new Error('no');
    },
    { firstRetryMs: 40, maxRetryMs: 160, log },
  );
  queue.add('a');
  await until(() => at.length === 6);
  for (const [i, most] of [40, 80, 160, 160, 160].entries()) {
    // Half of it is jitter.
    expect(waits[i]).toBeGreaterThanOrEqual(most / 2);
    expect(waits[i]).toBeLessThanOrEqual(most);
    // Timers may be late; early only by what is lost between two clocks of whole milliseconds.
    expect(at[i + 1]! - at[i]!).toBeGreaterThan(waits[i]! - 2);
  }
});

test('after a success the next failure waits as the first', async () => {
  const { waits, log } = saidWaits();
  let runs = 0;
  start(
    async () => {
      runs += 1;
      if (runs !== 4) throw new Error('no');
      return { requeueAfterMs: 1 };
    },
    { firstRetryMs: 10, maxRetryMs: 1_000, log },
  );
  queue.add('a');
  await until(() => waits.length === 4);
  expect(waits[2]).toBeGreaterThanOrEqual(20);
  expect(waits[3]).toBeLessThanOrEqual(10);
});

test('keys that fail together do not come back together', async () => {
  const second: number[] = [];
  const first = new Set<string>();
  start(
    async (key) => {
      if (first.has(key)) second.push(performance.now());
      else {
        first.add(key);
        throw new Error('no');
      }
    },
    { firstRetryMs: 400, maxRetryMs: 400, workers: 50 },
  );
  for (let i = 0; i < 50; i++) queue.add(`${i}`);
  await until(() => second.length === 50);
  expect(Math.max(...second) - Math.min(...second)).toBeGreaterThan(100);
});

test('what the server asks to wait is waited', async () => {
  const at: number[] = [];
  start(async () => {
    at.push(performance.now());
    if (at.length === 1) throw new KubeError('slow down', 429, 'TooManyRequests', 300);
  });
  queue.add('a');
  await until(() => at.length === 2);
  expect(at[1]! - at[0]!).toBeGreaterThan(299);
});

test('a change of an object that fails brings it forward, but not at once', async () => {
  const at: number[] = [];
  const own = start(
    async () => {
      at.push(performance.now());
      // Like a status that says why it failed: the object changes, and the informer tells.
      setTimeout(() => own.add('a'), 5);
      throw new Error('no');
    },
    { firstRetryMs: 60_000, maxRetryMs: 60_000 },
  );
  queue.add('a');
  await until(() => at.length === 3);
  expect(at[2]! - at[0]!).toBeGreaterThan(1_990);
});

test('a reconcile that asks to be called again is, and a change does not wait for that', async () => {
  const at: number[] = [];
  start(async () => {
    at.push(performance.now());
    return { requeueAfterMs: at.length === 1 ? 80 : 60_000 };
  });
  queue.add('a');
  await until(() => at.length === 2);
  expect(at[1]! - at[0]!).toBeGreaterThan(79);
  queue.add('a');
  await until(() => at.length === 3);
  expect(at[2]! - at[1]!).toBeLessThan(1_000);
});

test('of several delays the shortest counts, and the key runs once', async () => {
  const at: number[] = [];
  start(async () => void at.push(performance.now()));
  const began = performance.now();
  queue.addAfter('a', 10_000);
  queue.addAfter('a', 50);
  queue.addAfter('a', 10_000);
  await until(() => at.length === 1);
  expect(at[0]! - began).toBeGreaterThan(49);
  await pause(80);
  expect(at).toHaveLength(1);
  expect(queue.size).toBe(0);
});

test('a key that is forgotten loses its delays and failures', async () => {
  let runs = 0;
  start(
    async () => {
      runs += 1;
      throw new Error('no');
    },
    { firstRetryMs: 30 },
  );
  queue.addAfter('b', 30);
  queue.forget('b');
  queue.add('a');
  await until(() => runs === 1);
  await pause(0);
  queue.forget('a');
  expect(queue.size).toBe(0);
  await pause(60);
  expect(runs).toBe(1);
});

test('more keys than it may know are turned away, and taken again once some are done', async () => {
  const work = held();
  start(work.reconcile, { maxKeys: 3, workers: 1 });
  for (const key of ['a', 'b', 'c', 'd', 'e']) queue.add(key);
  queue.addAfter('f', 1);
  expect(queue.size).toBe(3);
  work.open[0]!.end();
  await until(() => queue.size === 2);
  queue.add('d');
  expect(queue.size).toBe(3);
});

test('stopped, it lets what runs end, and begins nothing more', async () => {
  const work = held();
  let told: AbortSignal | undefined;
  start(
    (key, stopping) => {
      told = stopping;
      return work.reconcile(key);
    },
    { workers: 1 },
  );
  queue.add('a');
  queue.add('a');
  queue.add('b');
  queue.addAfter('c', 5);
  const stopped = queue.stop(5_000);
  expect(told!.aborted).toBe(true);
  queue.add('d');
  let over = false;
  void stopped.then(() => {
    over = true;
  });
  await pause(30);
  expect(over).toBe(false);
  work.open[0]!.fail(new Error('broken off'));
  expect(await stopped).toBe(true);
  await pause(30);
  expect(work.open).toHaveLength(1);
});

test('a reconcile that does not end does not keep the queue from stopping', async () => {
  const work = held();
  start(work.reconcile);
  queue.add('a');
  expect(await queue.stop(30)).toBe(false);
});

test('each end is told, with how it ended and how long it took', async () => {
  const told: string[] = [];
  let turn = 0;
  start(
    async () => {
      turn += 1;
      if (turn === 1) throw new Error('no');
      return turn === 2 ? { requeueAfterMs: 1 } : undefined;
    },
    {
      onReconciled: (key, result, seconds) => {
        expect(seconds).toBeLessThan(1);
        told.push(`${key} ${result}`);
      },
    },
  );
  queue.add('a');
  await until(() => queue.size === 0);
  expect(told).toEqual(['a failed', 'a again', 'a done']);
});

test('whatever comes in and fails, every key is last run after its last change, never twice at a time, and forgotten', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(
        fc.record({ key: fc.constantFrom('a', 'b', 'c', 'd'), wait: fc.nat(3), later: fc.boolean() }),
        {
          maxLength: 40,
        },
      ),
      fc.integer({ min: 1, max: 3 }),
      fc.array(fc.boolean(), { minLength: 20, maxLength: 20 }),
      async (changes, workers, fails) => {
        const truth = new Map<string, number>();
        const read = new Map<string, number>();
        const running = new Set<string>();
        const twice: string[] = [];
        let turn = 0;
        start(
          async (key) => {
            // Told below: a throw here would only be tried again.
            if (running.has(key)) twice.push(key);
            running.add(key);
            const value = truth.get(key)!;
            await pause(turn % 3);
            running.delete(key);
            if (fails[turn++ % 20] && turn < 30) throw new Error('no');
            read.set(key, value);
          },
          { workers, firstRetryMs: 1, maxRetryMs: 2 },
        );
        for (const { key, wait, later } of changes) {
          truth.set(key, (truth.get(key) ?? 0) + 1);
          if (later) queue.addAfter(key, wait);
          else queue.add(key);
          if (wait === 3) await pause(1);
        }
        await until(() => queue.size === 0);
        expect(twice).toEqual([]);
        expect(read).toEqual(truth);
        await queue.stop();
      },
    ),
    { numRuns: 60 },
  );
});
