import v8 from 'node:v8';

/**
 * Lets the heap grow to three times of what is alive before V8 looks through all of it again, up to
 * `--max-old-space-size` as before. Under a limit as small as a pod's V8 does so at about 1.35 times; a
 * projector under a backlog then looks through it every 50 ms, in a third of its time (bench/README.md).
 *
 * V8 reads the flag whenever it sets the next limit, so that it may be set in a running process. `NODE_OPTIONS` does not
 * take it.
 */
export const collectLessOften = (): void => v8.setFlagsFromString('--heap-growing-percent=200');
