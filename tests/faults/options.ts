/** The options of `make faults`. */
import type { Fault } from './fault.ts';
import { MUTATIONS, type Mutation } from './mutations.ts';

export interface Options {
  readonly seed: number;
  readonly minutes: number;
  /** Null: all faults that this machine and the minutes allow. */
  readonly faults: readonly Fault[] | null;
  readonly mutations: readonly Mutation[];
  /** Each fault once, then the end. */
  readonly once: boolean;
}

/** A wrong option; the message says what to change. */
export class BadOption extends Error {
  override name = 'BadOption';
}

/**
 * @param env SEED, MINUTES (default 10), FAULTS and MUTATE (names, separated by commas; MUTATE=all), ONCE
 * @param drawSeed called when no seed is given
 * @throws BadOption
 */
export function readOptions(
  env: Readonly<Record<string, string | undefined>>,
  catalogue: readonly Fault[],
  drawSeed: () => number,
): Options {
  const number = (name: string, otherwise: number, least: number) => {
    const text = env[name] || undefined;
    const value = text === undefined ? otherwise : Number(text);
    if (!(value >= least)) throw new BadOption(`${name}=${text} must be a number from ${least}`);
    return value;
  };
  const names = (name: string) => (env[name] ? env[name].split(',').map((one) => one.trim()) : null);
  const pick = <T extends { name: string }>(
    variable: string,
    from: readonly T[],
    wanted: readonly string[],
  ) =>
    wanted.map((name) => {
      const one = from.find((candidate) => candidate.name === name);
      if (one) return one;
      throw new BadOption(
        `${variable}=${name} is not known; there are ${from.map((each) => each.name).join(', ')}`,
      );
    });
  const seed = number('SEED', drawSeed(), 0);
  if (!Number.isSafeInteger(seed)) throw new BadOption(`SEED=${env['SEED']} must be an integer`);
  const faults = names('FAULTS');
  const mutate = names('MUTATE');
  return {
    seed,
    minutes: number('MINUTES', 10, 0.1),
    faults: faults && pick('FAULTS', catalogue, faults),
    mutations: mutate === null ? [] : mutate[0] === 'all' ? MUTATIONS : pick('MUTATE', MUTATIONS, mutate),
    once: (env['ONCE'] ?? '') !== '',
  };
}

/** The faults of a run without FAULTS, and those left out, with the reason. */
export function choose(catalogue: readonly Fault[], minutes: number) {
  const left: string[] = [];
  const faults = catalogue.filter(({ name, fromMinutes = 0, missing }) => {
    const why = missing?.() ?? (fromMinutes > minutes ? `it needs MINUTES=${fromMinutes}` : null);
    if (why !== null) left.push(`${name}: ${why}`);
    return why === null;
  });
  return { faults, left };
}
