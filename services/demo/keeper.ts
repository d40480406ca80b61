import { Backoff } from '#platform/backoff.ts';
import { pause } from '#platform/lifecycle.ts';
import type { Exit } from '../local-stack/process.ts';

/** Any process of local-stack. */
export interface Keepable {
  readonly pid: number;
  readonly exited: Promise<Exit>;
  kill(signal: NodeJS.Signals): void;
  restart(): Promise<void>;
  stop(): Promise<unknown>;
}

/** `down`: held down by a switch, or waiting for the next attempt. */
export type State = 'up' | 'starting' | 'down';

const FIRST_DELAY_MS = 200;
const LONGEST_DELAY_MS = 5_000;
const HEALTHY_AFTER_MS = 10_000;

/**
 * Restarts a process whenever it ends unexpectedly, for ever; the pause doubles while it keeps ending. A process that
 * the lab's switches hold down stays down until it is brought back.
 */
export class Keeper {
  readonly name: string;
  readonly #process: Keepable;
  readonly #log: (message: string) => void;
  readonly #stopping = new AbortController();
  #state: State = 'up';
  #held = false;
  #wake = new AbortController();
  #watch: Promise<void>;

  constructor(name: string, running: Keepable, log: (message: string) => void) {
    this.name = name;
    this.#process = running;
    this.#log = log;
    this.#watch = this.#keep();
  }

  get state(): State {
    return this.#state;
  }

  get heldDown(): boolean {
    return this.#held;
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** SIGKILL, and no restart. */
  holdDown(): void {
    this.#held = true;
    this.#process.kill('SIGKILL');
  }

  /** Ends {@link holdDown}; the process is started at once. */
  bringBack(): void {
    if (!this.#held) return;
    this.#held = false;
    this.#wake.abort();
  }

  /** Ends the process gracefully, and its restarts. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#wake.abort();
    await this.#process.stop();
    await this.#watch;
  }

  async #keep(): Promise<void> {
    const stopped = this.#stopping.signal;
    const backoff = new Backoff({ firstMs: FIRST_DELAY_MS, longestMs: LONGEST_DELAY_MS, random: null });
    for (;;) {
      const startedAt = Date.now();
      if (this.#state === 'up') await this.#process.exited;
      if (stopped.aborted) return;
      if (this.#state === 'up' && !this.#held) this.#log(`${this.name} ended unasked and is started again`);
      if (Date.now() - startedAt > HEALTHY_AFTER_MS) backoff.reset();
      this.#state = 'down';
      this.#wake = new AbortController();
      const woken = this.#wake.signal;
      if (this.#held) {
        await new Promise<void>((resolve) =>
          woken.addEventListener('abort', () => resolve(), { once: true }),
        );
        backoff.reset();
      } else {
        await pause(backoff.next(), woken);
      }
      if (stopped.aborted) return;
      if (this.#held) continue;
      this.#state = 'starting';
      try {
        await this.#process.restart();
        this.#state = 'up';
        // It was held down while it started: the signal may have come before there was a process.
        if (this.#held) this.#process.kill('SIGKILL');
      } catch (err) {
        if (!stopped.aborted) this.#log(`${this.name} could not be started: ${(err as Error).message}`);
        this.#state = 'down';
      }
    }
  }
}
