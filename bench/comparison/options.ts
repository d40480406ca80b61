import { parseArgs } from 'node:util';
import { PAGE_NAMES, type PageName } from '#contracts/pages.ts';
import { CONDITION_NAMES, type ConditionName, VARIANT_NAMES, type VariantName } from './variants.ts';

/** Everything that shapes a run. It is in the results, beside the command line. */
export interface ComparisonOptions {
  readonly quick: boolean;
  readonly pages: readonly PageName[];
  readonly variants: readonly VariantName[];
  readonly conditions: readonly ConditionName[];
  /** Percentages of visits that meet a seller with clients; only the first one is measured under every condition. */
  readonly shares: readonly number[];
  readonly rounds: number;
  /** Duration of the load at a fixed rate, per measurement. */
  readonly seconds: number;
  /** Duration of the saturating load, per measurement. */
  readonly saturationSeconds: number;
  /** Requests a second, the same for all variants of a page; null: half of what the slowest of them can serve. */
  readonly rate: number | null;
  /** Background writes a second. */
  readonly writesPerSecond: number;
  /** Sellers whose pages are visited. */
  readonly sellers: number;
  readonly seed: number;
  /** Folder of the results. */
  readonly out: string;
  /** Whether to wait for, and warn of, other load on the machine. */
  readonly acceptBusy: boolean;
}

/** The command line cannot be used; the message says what would work. */
export class OptionsRefused extends Error {
  override readonly name = 'OptionsRefused';
}

export const USAGE = `usage: make bench [QUICK=1] [ARGS="…"]
  --pages gig,user,search            which pages
  --variants ${VARIANT_NAMES.join(',')}
  --conditions ${CONDITION_NAMES.join(',')}
  --shares 33,5,90                   percent of visits that meet a seller with clients; faults only under the first
  --rounds N                         interleaved rounds (3; quick 1)
  --seconds N                        load at a fixed rate, per measurement (10; quick 3)
  --saturation-seconds N             load that saturates, per measurement (5; quick 2)
  --rate N                           requests a second; default half of what the slowest variant of a page can do
  --writes N                         background writes a second (20)
  --sellers N                        sellers that are visited (5000; quick 1200)
  --seed N                           of the order of the runs and of the visits
  --out DIR                          results (bench/results/comparison)
  --accept-busy                      measure although others use the machine; the results say so in any case`;

/** @throws OptionsRefused naming the flag and the values it takes */
export function readOptions(args: readonly string[], defaultOut: string): ComparisonOptions {
  const text = { type: 'string' } as const;
  let values: Record<string, string | boolean | undefined>;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        quick: { type: 'boolean' },
        'accept-busy': { type: 'boolean' },
        pages: text,
        variants: text,
        conditions: text,
        shares: text,
        rounds: text,
        seconds: text,
        'saturation-seconds': text,
        rate: text,
        writes: text,
        sellers: text,
        seed: text,
        out: text,
      },
    }));
  } catch (err) {
    throw new OptionsRefused((err as Error).message, { cause: err });
  }
  const given = (name: string) => values[name] as string | undefined;
  const integer = (name: string, minimum: number, maximum: number, otherwise: number): number => {
    const word = given(name);
    if (word === undefined) return otherwise;
    const value = Number(word);
    if (!Number.isInteger(value) || value < minimum || value > maximum || word.trim() === '') {
      throw new OptionsRefused(`--${name} takes a whole number from ${minimum} to ${maximum}, not "${word}"`);
    }
    return value;
  };
  const some = <T extends string>(
    name: string,
    known: readonly T[],
    otherwise: readonly T[],
  ): readonly T[] => {
    const words = given(name)?.split(',');
    if (words === undefined) return otherwise;
    const unknown = words.find((word) => !known.includes(word as T));
    if (unknown !== undefined) {
      throw new OptionsRefused(`--${name} takes ${known.join(', ')}, separated by commas, not "${unknown}"`);
    }
    return known.filter((one) => words.includes(one));
  };
  const quick = values['quick'] === true;
  const shares = (given('shares') ?? (quick ? '33' : '33,5,90')).split(',').map(Number);
  if (shares.some((share) => !Number.isInteger(share) || share < 1 || share > 99)) {
    throw new OptionsRefused(
      `--shares takes whole percents from 1 to 99, separated by commas, not "${given('shares')}"`,
    );
  }
  return {
    quick,
    pages: some('pages', PAGE_NAMES, PAGE_NAMES),
    variants: some('variants', VARIANT_NAMES, VARIANT_NAMES),
    conditions: some('conditions', CONDITION_NAMES, CONDITION_NAMES),
    shares,
    rounds: integer('rounds', 1, 100, quick ? 1 : 3),
    seconds: integer('seconds', 1, 3_600, quick ? 3 : 10),
    saturationSeconds: integer('saturation-seconds', 1, 3_600, quick ? 2 : 5),
    rate: given('rate') === undefined ? null : integer('rate', 1, 100_000, 1),
    writesPerSecond: integer('writes', 1, 1_000, 20),
    sellers: integer('sellers', 200, 20_000, quick ? 1_200 : 5_000),
    seed: integer('seed', 0, 2 ** 31, 1),
    out: given('out') ?? defaultOut,
    acceptBusy: values['accept-busy'] === true,
  };
}
