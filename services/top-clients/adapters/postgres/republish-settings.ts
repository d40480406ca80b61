import { integer, setting } from '#platform/config.ts';

/** How fast states are published again, so that new changes of sellers do not wait behind them. */
export const REPUBLISH_SETTINGS = {
  sellersPerSecond: setting(
    'TC_SELLERS_PER_SECOND',
    'sellers published again in a second, at most',
    integer(1, 1_000_000).default(2_000),
  ),
  mostWaiting: setting(
    'TC_MOST_WAITING',
    'rows in the outbox above which it waits',
    integer(1, 10_000_000).default(2_000),
  ),
};
