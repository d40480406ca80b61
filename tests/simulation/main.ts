/**
 * `make simulate [SEEDS=10000] [FROM=1] [SEED=4711] [MUTATE=name|all]`
 *
 * Exits with 0 when every promise held in every run, and with 1 otherwise; then the first failing seed of each kind is
 * minimised and explained. MUTATE=all exits with 0 when every mutation was found.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { explain } from './explain.ts';
import { type HuntReport, hunt } from './hunt.ts';
import type { Promised } from './judge.ts';
import { MUTATIONS, type Mutation, mutatedWorker } from './mutations.ts';

const OWN_WORKER = new URL('./worker.ts', import.meta.url);
/** Kinds of failures that are explained; further ones are only counted. */
const MOST_EXPLAINED = 3;
const say = (line: string) => process.stdout.write(`${line}\n`);

function numberFrom(name: string, usual: number): number {
  const text = process.env[name] || String(usual);
  if (!/^\d{1,12}$/.test(text)) throw new Error(`${name}=${text} is not a number`);
  return Number(text);
}

const inWords = ({ seeds, virtualMs, events, tookMs }: HuntReport): string =>
  `${seeds} seeds, ${(virtualMs / 3_600_000).toFixed(1)} virtual hours, ${Math.round(events / Math.max(1, seeds))} events a run, ` +
  `${Math.round(seeds / (tookMs / 1_000))} runs/s`;

async function honest(from: number, seeds: number): Promise<boolean> {
  let told = performance.now();
  let done = 0;
  let failing = 0;
  const report = await hunt({
    from,
    seeds,
    worker: OWN_WORKER,
    onChunk({ count, failures }) {
      done += count;
      failing += new Set(failures.map(({ seed }) => seed)).size;
      if (performance.now() - told < 10_000) return;
      told = performance.now();
      say(`  ${done} of ${seeds}, ${failing} failing`);
    },
  });
  say(inWords(report));
  const bySeed = Map.groupBy(report.failures, ({ seed }) => seed);
  if (bySeed.size === 0) {
    say('every promise held');
    return true;
  }
  say(
    `${bySeed.size} seeds failed: ${[...bySeed.keys()].slice(0, 20).join(' ')}${bySeed.size > 20 ? ' …' : ''}`,
  );
  const firstOfKind = new Map<Promised, number>();
  // Only the first failure of each seed: the others follow from it.
  for (const [seed, [first]] of bySeed) {
    if (first && !firstOfKind.has(first.promised)) firstOfKind.set(first.promised, seed);
  }
  for (const [promised, seed] of [...firstOfKind].slice(0, MOST_EXPLAINED)) {
    say('');
    for (const line of await explain(seed, promised)) say(line);
  }
  return false;
}

/** @returns whether the mutation was found */
async function found(mutation: Mutation, from: number, seeds: number): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), `top-clients-mutation-${mutation.name}-`));
  try {
    const worker = pathToFileURL(await mutatedWorker(mutation, folder));
    const report = await hunt({
      from,
      seeds,
      worker,
      endsAt: ({ promised }) => mutation.breaks.includes(promised),
    });
    const first = report.failures.find(({ promised }) => mutation.breaks.includes(promised));
    say(
      `${mutation.name} (${mutation.about}): ${
        first
          ? `found after ${first.seed - from + 1} seeds: ${first.promised}: ${first.what}`
          : `NOT FOUND in ${seeds} seeds`
      }`,
    );
    return first !== undefined;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function mutated(names: string, from: number, seeds: number): Promise<boolean> {
  const chosen = names === 'all' ? MUTATIONS : MUTATIONS.filter(({ name }) => name === names);
  if (chosen.length === 0)
    throw new Error(`there is no mutation ${names}: ${MUTATIONS.map(({ name }) => name).join(', ')}`);
  const missed: string[] = [];
  for (const mutation of chosen) if (!(await found(mutation, from, seeds))) missed.push(mutation.name);
  say(missed.length === 0 ? 'every mutation was found' : `not found: ${missed.join(', ')}`);
  return missed.length === 0;
}

const seed = numberFrom('SEED', 0);
const from = seed || numberFrom('FROM', 1);
const seeds = seed ? 1 : numberFrom('SEEDS', 10_000);
const isGood = process.env['MUTATE']
  ? await mutated(process.env['MUTATE'], from, seeds)
  : await honest(from, seeds);
process.exitCode = isGood ? 0 : 1;
