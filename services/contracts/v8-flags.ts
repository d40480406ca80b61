/**
 * V8's flags for every process of ours. They stand on the command line, since `NODE_OPTIONS` does not take them, and
 * before V8 begins: compiled code is kept under the flags it was compiled with, and would not be found under others.
 * What each is worth stands in bench/HISTORY.md.
 *
 * One flag is set at run time: `--expose-gc`, for a moment (`services/platform/idle-memory.ts`). On the command line it would
 * give `gc` to all code of the process; once it is off again, compiled code is found as before.
 */
export const V8_FLAGS = [
  // The heap may grow to three times the live heap before V8 goes through all of it again, up to `--max-old-space-size`
  // as before. With so small a limit V8 does so at about 1.35 times; a projector under a backlog then goes through its
  // heap every 50 ms, which takes a third of its time.
  '--heap-growing-percent=200',
  // After a while V8 allocates the driver's arrays of rows in the old generation. There they keep alive every row they
  // once held, until V8 goes through all of the heap: copying dead rows cost a page 7 % of its time, and batch-get a
  // third.
  '--no-allocation-site-pretenuring',
  // WebAssembly is run as it is compiled first, and not once more for speed. undici parses answers by it: after three of them V8
  // compiled its one large function anew, beside the start of the process, and the 12 MB that took were never given back. The
  // parser is as fast without; Snappy takes 0.4 us an event more.
  '--no-wasm-tier-up',
  '--no-wasm-dynamic-tiering',
] as const;

/** The memory of one process, in MiB. */
export interface HeapSize {
  /** V8's old generation: left alone it grows towards what the machine has. */
  readonly oldSpaceMiB: number;
  /**
   * V8's young generation, per semi-space. For roles under load, which also get one helper thread of V8 instead of
   * four.
   */
  readonly semiSpaceMiB?: number | undefined;
}

const youngFlags = ({ semiSpaceMiB }: Pick<HeapSize, 'semiSpaceMiB'>): string[] =>
  semiSpaceMiB === undefined ? [] : [`--max-semi-space-size=${semiSpaceMiB}`, '--v8-pool-size=1'];

/** V8's flags for a size; `NODE_OPTIONS` takes these. */
export const heapFlags = ({ oldSpaceMiB, semiSpaceMiB }: HeapSize): string[] => [
  ...youngFlags({ semiSpaceMiB }),
  `--max-old-space-size=${oldSpaceMiB}`,
];

/**
 * V8's flags in a container: the old generation gets three quarters of the memory that the container may take, and the
 * rest is for buffers, code and the young generation. Node reads the limit where it runs, so that it is the right one
 * whoever set it: the spec, a LimitRange, a VerticalPodAutoscaler. Without it the heap grows towards the node's memory,
 * and the container is ended before V8 collects.
 */
export const containerHeapFlags = (heap: Pick<HeapSize, 'semiSpaceMiB'> = {}): string[] => [
  ...youngFlags(heap),
  '--max-old-space-size-percentage=75',
];
