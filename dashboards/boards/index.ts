import { availability } from './availability.ts';
import type { BoardName, BoardSpec } from './board.ts';
import { callers } from './callers.ts';
import { consistency } from './consistency.ts';
import { operator } from './operator.ts';
import { overview } from './overview.ts';
import { pipeline } from './pipeline.ts';
import { stores } from './stores.ts';

export const BOARD_SPECS: Readonly<Record<BoardName, BoardSpec>> = {
  overview,
  consistency,
  availability,
  callers,
  pipeline,
  stores,
  operator,
};
