import { amountOf } from '../api/rules.ts';
import type { Resources } from '../api/shared.ts';

/** Of the container's memory; the rest is for buffers, code and the young generation. */
const OLD_SPACE = 0.75;

/**
 * The size of V8's old generation in a container, in MiB: left alone it grows towards what the node has, and the container
 * is killed before it collects.
 */
export const oldSpaceMiB = ({ limits }: Resources): number =>
  Math.floor((OLD_SPACE * amountOf(limits.memory)) / 2 ** 20);
