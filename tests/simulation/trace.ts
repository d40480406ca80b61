import type { Scheduler } from './scheduler.ts';
import type { About } from './witness.ts';

export interface Entry {
  readonly at: number;
  readonly who: string;
  readonly what: string;
  readonly about: About;
}

/** What happened, in words; kept only in a run that somebody will read. */
export class Trace {
  readonly entries: Entry[] = [];
  readonly #scheduler: Scheduler;

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  note(who: string, what: string, about: About): void {
    this.entries.push({ at: this.#scheduler.now, who, what, about });
  }
}

/**
 * The entries about a seller or a partition, and those about everything, one line each: virtual seconds, who, what.
 * @param about absent: everything
 */
export function toldOf(entries: readonly Entry[], about: About | null, most = 200): string[] {
  const concerns = ({ about: of }: Entry) =>
    about === null ||
    (of.seller === undefined && of.partition === undefined) ||
    (of.seller !== undefined && of.seller === about.seller) ||
    (of.seller === undefined && of.partition !== undefined && of.partition === about.partition);
  const lines = entries
    .filter(concerns)
    .map(({ at, who, what }) => `${(at / 1_000).toFixed(3).padStart(9)}  ${who.padEnd(14)} ${what}`);
  if (lines.length <= most) return lines;
  const half = most >> 1;
  return [...lines.slice(0, half), `           … ${lines.length - most} more …`, ...lines.slice(-half)];
}
