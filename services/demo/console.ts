/** The output for a person at the terminal. */
export interface Console {
  /** A line of its own. */
  say(line: string): void;
  /** A line that the next one replaces, if the terminal can do that; elsewhere at most one every few seconds. */
  progress(line: string): void;
}

const SELDOM_MS = 3_000;

/** @param send receives the lines of a background demo, instead of the terminal */
export function openConsole(send?: (line: string) => void): Console {
  const terminal = send === undefined && process.stdout.isTTY;
  const write = send ?? ((line: string) => process.stdout.write(`${line}\n`));
  let open = false;
  let last = 0;
  return {
    say(line) {
      if (open) process.stdout.write('\r\x1b[K');
      open = false;
      write(line);
    },
    progress(line) {
      if (terminal) {
        process.stdout.write(`\r\x1b[K${line}`);
        open = true;
      } else if (Date.now() - last >= SELDOM_MS) {
        last = Date.now();
        write(line);
      }
    },
  };
}

export const seconds = (since: number): string => `${((performance.now() - since) / 1_000).toFixed(1)} s`;
export const withCommas = (value: number): string => value.toLocaleString('en');
