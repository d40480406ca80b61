import { expect, test } from '@jest/globals';
import { SimProcess } from './process.ts';
import { Scheduler } from './scheduler.ts';

/** Runs outside of a microtask, as the simulator does. */
const fromMacrotask = <T>(work: () => T): Promise<T> =>
  new Promise((resolve, reject) => {
    setImmediate(() => {
      try {
        resolve(work());
      } catch (err) {
        reject(err);
      }
    });
  });

test('events run in the order of their time, each with all that its promises lead to', async () => {
  const order = await fromMacrotask(() => {
    const told: string[] = [];
    const scheduler = new Scheduler(1);
    scheduler.at(20, null, () => told.push('later'));
    scheduler.at(10, null, () => {
      void Promise.resolve()
        .then(() => told.push('first'))
        .then(() => told.push('its continuation'));
    });
    scheduler.run(100);
    return [...told, scheduler.now];
  });
  expect(order).toEqual(['first', 'its continuation', 'later', 100]);
});

test('among events of one instant the seed decides, and always in the same way', async () => {
  const orderOf = (seed: number) =>
    fromMacrotask(() => {
      const told: number[] = [];
      const scheduler = new Scheduler(seed);
      for (let i = 0; i < 12; i++) scheduler.at(5, null, () => told.push(i));
      scheduler.run(5);
      return told.join();
    });
  const orders = await Promise.all([1, 1, 2, 3].map(orderOf));
  expect(orders[0]).toBe(orders[1]);
  expect(new Set(orders).size).toBe(3);
});

test('an event that was called off does not run', async () => {
  const ran = await fromMacrotask(() => {
    const scheduler = new Scheduler(1);
    let count = 0;
    const event = scheduler.after(5, null, () => {
      count += 1;
    });
    event.run = null;
    scheduler.run(10);
    return count;
  });
  expect(ran).toBe(0);
});

test('what comes for a paused process runs when it goes on, in order; a dead one never gets it', async () => {
  const told = await fromMacrotask(() => {
    const lines: string[] = [];
    const scheduler = new Scheduler(1);
    const paused = new SimProcess(scheduler, 'paused');
    const dead = new SimProcess(scheduler, 'dead');
    for (const ms of [1, 2, 3]) {
      paused.after(ms, () => lines.push(`paused ${ms} at ${Math.round(scheduler.now)}`));
      dead.after(ms, () => lines.push(`dead ${ms}`));
    }
    scheduler.at(1.5, null, () => {
      paused.pause();
      dead.kill();
    });
    scheduler.at(50, null, () => paused.goOn());
    scheduler.run(100);
    return lines;
  });
  expect(told).toEqual(expect.arrayContaining(['dead 1', 'paused 1 at 1']));
  expect(told.slice(-2)).toEqual(['paused 2 at 50', 'paused 3 at 50']);
  expect(told).toHaveLength(4);
});

test('a clock that jumps tells another date, and its monotonic time goes on as before', async () => {
  const read = await fromMacrotask(() => {
    const scheduler = new Scheduler(1);
    const process = new SimProcess(scheduler, 'one');
    scheduler.run(1_000);
    const before = [process.clock.now(), process.clock.monotonic()] as const;
    process.skew -= 3_600_000;
    scheduler.run(1_500);
    return [process.clock.now() - before[0], process.clock.monotonic() - before[1]];
  });
  expect(read).toEqual([500 - 3_600_000, 500]);
});

test('a pause for what rounding leaves of a time lets time pass, as a timer of Node does', async () => {
  const woke = await fromMacrotask(() => {
    const scheduler = new Scheduler(1);
    const process = new SimProcess(scheduler, 'relay-1');
    const times: number[] = [];
    scheduler.at(10_000.1, null, () => {
      void process.clock.pause(1e-13).then(() => times.push(scheduler.now));
    });
    scheduler.run(20_000);
    return times;
  });
  expect(woke).toEqual([10_001.1]);
});
