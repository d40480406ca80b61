import { expect, test } from '@jest/globals';
import { collectOnceIdle } from './idle-memory.ts';

const counting = () => {
  let collections = 0;
  return { collect: () => collections++, count: () => collections };
};

test('an idle process collects its garbage once', async () => {
  const { collect, count } = counting();
  await collectOnceIdle(new AbortController().signal, collect);
  expect(count()).toBe(1);
});

test('a process that has worked since its start collects nothing, idle or not: its code is hot', async () => {
  const { collect, count } = counting();
  const done = collectOnceIdle(new AbortController().signal, collect);
  await null;
  for (const until = performance.now() + 1_200; performance.now() < until; );
  await done;
  expect(count()).toBe(0);
});

test('a process that stops collects nothing', async () => {
  const { collect, count } = counting();
  const stopping = new AbortController();
  const done = collectOnceIdle(stopping.signal, collect);
  stopping.abort();
  await done;
  expect(count()).toBe(0);
});

test('by default V8 goes through all of its heap', async () => {
  const garbage = new WeakRef({ held: new Array(1_000) });
  await collectOnceIdle(new AbortController().signal);
  expect(garbage.deref()).toBeUndefined();
});
