import { availability } from './availability.ts';
import type { BoardName, BoardSpec } from './board.ts';
import { consistency } from './consistency.ts';
import { operator } from './operator.ts';
import { overview } from './overview.ts';
import { pipeline } from './pipeline.ts';

export const BOARD_SPECS: Readonly<Record<BoardName, BoardSpec>> = {
  overview,
  consistency,
  availability,
  pipeline,
  operator,
};
