import { amountOf } from '../api/rules.ts';
import type { Resources } from '../api/shared.ts';

/** Share of the container's memory; the rest is for buffers, code and the young generation. */
const OLD_SPACE = 0.75;

/**
 * The size of V8's old generation in a container, in MiB. Without it the heap grows towards the node's memory, and the
 * container is killed before V8 collects.
 */
export const oldSpaceMiB = ({ limits }: Resources): number =>
  Math.floor((OLD_SPACE * amountOf(limits.memory)) / 2 ** 20);
