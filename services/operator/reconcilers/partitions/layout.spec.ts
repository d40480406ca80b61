import { expect, test } from '@jest/globals';
import { openMetrics } from '#role/metrics.ts';
import { openRelayMetrics } from '../../../outbox-relay/metrics.ts';
import { readLayout } from './layout.ts';

const pods = (...names: string[]) => names.map((name) => ({ name, ip: name }));
const told = async (...layout: Parameters<ReturnType<typeof openRelayMetrics>['layout']>) => {
  const metrics = openMetrics({ processMetrics: false });
  openRelayMetrics(metrics, 1).layout(...layout);
  return metrics.registry.metrics();
};

test('reads what relays export, from whichever answers', async () => {
  const texts: Record<string, string> = {
    grown: await told(
      { partitions: 24, movedFrom: 12, ageMs: 0 },
      { sellersDone: 3, sellers: 10, progressedAt: 1_000 },
    ),
    late: await told({ partitions: 12, movedFrom: null, ageMs: 0 }, null),
    fresh: await told(null, null),
    old: '# HELP nothing of this\n',
  };
  const read = async ({ name }: { name: string }) => {
    const text = texts[name];
    if (text === undefined) throw new Error('connection refused');
    return text;
  };
  const grown = { partitions: 24, movedFrom: 12, sellersDone: 3, sellers: 10 };
  expect(await readLayout(pods('gone', 'late', 'grown', 'old'), read)).toEqual(grown);
  expect(await readLayout(pods('late'), read)).toEqual({
    partitions: 12,
    movedFrom: null,
    sellersDone: 0,
    sellers: 0,
  });
  expect(await readLayout(pods('gone', 'fresh', 'old'), read)).toBeNull();
  expect(await readLayout([], read)).toBeNull();
});
