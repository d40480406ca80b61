import { setTimeout as delay } from 'node:timers/promises';

/** Waits for a condition, asking again every few milliseconds. @throws after the deadline, saying what was awaited */
export async function until(
  what: string,
  holds: () => Promise<boolean> | boolean,
  timeoutMs = 30_000,
  everyMs: number | (() => number) = 20,
): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      if (await holds()) return;
    } catch (err) {
      last = err;
    }
    if (Date.now() > deadline)
      throw new Error(`waited ${timeoutMs} ms in vain until ${what}`, { cause: last });
    await delay(typeof everyMs === 'number' ? everyMs : everyMs());
  }
}
