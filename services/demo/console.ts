/** What a person in front of the terminal reads. */
export interface Console {
  /** A line of its own. */
  say(line: string): void;
  /** A line that the next one replaces, where the terminal can do that; elsewhere at most one every few seconds. */
  progress(line: string): void;
}

const SELDOM_MS = 3_000;

/** @param send where the lines of a demo in the background go, instead of to the terminal */
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
