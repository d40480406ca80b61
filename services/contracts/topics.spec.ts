import { expect, test } from '@jest/globals';
import {
  ERASED_BYTES_LEAVE_WITHIN_DAYS,
  EVERY_PARTITION_IS_WRITTEN_EVERY_HOURS,
  SELLER_EVENTS,
} from './topics.ts';

const DAY_MS = 86_400_000;

test('what was erased leaves the topic within the days that are promised, with half a day for the cleaner', () => {
  const { settings } = SELLER_EVENTS;
  // The segment may end as late as that, and what is in it may have to wait for the lag from its end on.
  const idle = EVERY_PARTITION_IS_WRITTEN_EVERY_HOURS * (DAY_MS / 24);
  const untilCompacted = Math.max(idle, Number(settings['max.compaction.lag.ms']));
  const byThen = Number(settings['segment.ms']) + untilCompacted + DAY_MS / 2;
  expect(byThen).toBeLessThanOrEqual(ERASED_BYTES_LEAVE_WITHIN_DAYS * DAY_MS);
  expect(Number(settings['min.compaction.lag.ms'])).toBeLessThan(Number(settings['max.compaction.lag.ms']));
  expect(Number(settings['delete.retention.ms'])).toBe(7 * DAY_MS);
});

test('an administrator keeps what heals a seller that is held', () => {
  expect(SELLER_EVENTS.owned).not.toContain('max.message.bytes');
  for (const name of SELLER_EVENTS.owned) expect(SELLER_EVENTS.settings).toHaveProperty([name]);
});
