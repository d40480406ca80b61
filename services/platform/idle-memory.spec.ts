import { expect, test } from '@jest/globals';
import { collectWhileIdle, type Memory } from './idle-memory.ts';

const MIB = 2 ** 20;

/**
 * Looks at a process that is as busy, and has as large a heap, as each look in turn says; then it stops.
 * @returns the heap of each collection, and the pauses before the looks
 */
async function look(looks: readonly (readonly [busy: number, heapMiB: number])[]) {
  const stopping = new AbortController();
  const collected: number[] = [];
  const pauses: number[] = [];
  let at = -1;
  const memory: Memory = {
    busy: () => looks[at]?.[0] ?? 0,
    heapBytes: () => (collected.includes(at) ? 20 : looks[at]![1]) * MIB,
    collect: () => collected.push(at),
    async pause(ms) {
      pauses.push(ms);
      at += 1;
      if (at === looks.length) stopping.abort();
    },
  };
  await collectWhileIdle(stopping.signal, memory);
  return { collected: collected.map((one) => looks[one]![1]), pauses };
}

test('a process collects its garbage once it is idle after its start, and then rests', async () => {
  const { collected, pauses } = await look([
    [0.9, 40],
    [0.01, 41],
    [0.01, 21],
    [0.01, 22],
  ]);
  expect(collected).toEqual([41]);
  expect(pauses).toEqual([2_000, 2_000, 60_000, 60_000, 60_000]);
});

test('it collects again when it is idle and its heap has grown, and not while it works', async () => {
  const { collected } = await look([
    [0.01, 40],
    [0.5, 45],
    [0.06, 46],
    [0.04, 47],
    [0.01, 25],
    [0.01, 27],
  ]);
  expect(collected).toEqual([40, 47, 27]);
});

test('a process that stops collects nothing', async () => {
  expect(await look([])).toEqual({ collected: [], pauses: [2_000] });
});

test('by default V8 goes through all of its heap', async () => {
  const garbage = new WeakRef({ held: new Array(1_000) });
  const stopping = new AbortController();
  const watching = collectWhileIdle(stopping.signal);
  while (garbage.deref() !== undefined) await new Promise((resolve) => setTimeout(resolve, 50));
  stopping.abort();
  await watching;
});
