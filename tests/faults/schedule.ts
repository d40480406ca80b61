/** The order of faults: each alone, then in combinations, all drawn from one seed. Pure. */
import { type Random, randomFor } from '../../services/seed/random.ts';
import type { Fault } from './fault.ts';

export interface Round {
  readonly faults: readonly Fault[];
  /** From the last injection to the healing, in ms. */
  readonly holdMs: number;
}

const USUAL_SECONDS = [1, 4] as const;
const LARGEST_COMBINATION = 3;

/** Endless rounds: the faults in random order, each alone, and after that two or three at once. */
export function* rounds(seed: number, faults: readonly Fault[]): Generator<Round> {
  const random = randomFor('schedule', 0, seed);
  for (const fault of shuffled(random, faults)) yield round(random, [fault]);
  for (;;) {
    const size = random.integer(2, LARGEST_COMBINATION);
    const chosen: Fault[] = [];
    for (const fault of shuffled(random, faults)) {
      if (chosen.length < size && chosen.every(({ touches }) => touches !== fault.touches))
        chosen.push(fault);
    }
    yield round(random, chosen);
  }
}

function round(random: Random, faults: readonly Fault[]): Round {
  const seconds = faults.map((fault) => fault.seconds ?? USUAL_SECONDS);
  const least = Math.max(...seconds.map(([one]) => one)) * 1_000;
  const most = Math.max(...seconds.map(([, one]) => one)) * 1_000;
  return { faults, holdMs: random.integer(least, most) };
}

function shuffled<T>(random: Random, items: readonly T[]): T[] {
  const left = [...items];
  return items.map(() => left.splice(random.integer(0, left.length - 1), 1)[0]!);
}
