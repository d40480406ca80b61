/**
 * Random numbers that depend only on what they are for: seller 4711 gets the same name whether sellers are made one by
 * one, in chunks or backwards, on any machine.
 */
export interface Random {
  /** 0 ≤ x < 1 */
  fraction(): number;
  /** An integer, `minimum` and `maximum` included. */
  integer(minimum: number, maximum: number): number;
  /** True in `probability` of all cases. */
  chance(probability: number): boolean;
  pick<T>(items: readonly T[]): T;
  /** A UUID of version 4. */
  uuid(): string;
}

/** Another seed changes all data; raise it when the generator changes, so that old data is not taken for new. */
export const SEED = 20_261;

/** @param purpose separates draws for different things of the same id */
export function randomFor(purpose: string, id: number, seed = SEED): Random {
  // FNV-1a over the words that name the draw.
  let state = 0x811c9dc5;
  for (const character of `${seed}/${purpose}/${id}`) {
    state = Math.imul(state ^ character.codePointAt(0)!, 0x01000193);
  }
  // splitmix32: full period, passes the usual batteries, eight lines.
  const word = (): number => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x85ebca6b);
    mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
    return (mixed ^ (mixed >>> 16)) >>> 0;
  };
  const fraction = () => word() / 0x1_0000_0000;
  const integer = (minimum: number, maximum: number) =>
    minimum + Math.floor(fraction() * (maximum - minimum + 1));
  return {
    fraction,
    integer,
    chance: (probability) => fraction() < probability,
    pick: (items) => items[integer(0, items.length - 1)]!,
    uuid() {
      const hex = [word(), word(), word(), word()].map((part) => part.toString(16).padStart(8, '0')).join('');
      const variant = '89ab'[Number.parseInt(hex[16]!, 16) & 3];
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20)}`;
    },
  };
}

/**
 * Draws ranks from 0 to n - 1. Rank r has a probability in proportion to 1 / (r + 1)^exponent, like visits to sellers
 * and the fame of brands.
 */
export function zipf(n: number, exponent: number): (random: Random) => number {
  const cumulative = new Float64Array(n);
  let sum = 0;
  for (let rank = 0; rank < n; rank++) {
    sum += 1 / (rank + 1) ** exponent;
    cumulative[rank] = sum;
  }
  return (random) => {
    const wanted = random.fraction() * sum;
    let low = 0;
    let high = n - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (cumulative[middle]! > wanted) high = middle;
      else low = middle + 1;
    }
    return low;
  };
}
