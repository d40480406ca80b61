import { expect, test } from '@jest/globals';
import { type Limited, openLimits } from './limits.ts';

test('so many addresses that they would fill the memory share one limit, and those known keep their own', async () => {
  const refused: Limited[] = [];
  const settings = { writesPerMinute: 0, requestsPerMinute: 2, pageRequestsPerMinute: 0 };
  const limits = openLimits(settings, (limit) => refused.push(limit));
  const ask = (network: number) =>
    limits.request({
      kind: 'address',
      address: `2001:db8:${(network >> 16).toString(16)}:${(network & 0xffff).toString(16)}::1`,
    });
  for (let network = 0; network < 20_002; network++) await ask(network);
  expect(refused).toEqual([]);
  await expect(ask(20_002)).rejects.toMatchObject({ type: 'too-many-requests' });
  await ask(7);
  await limits.request({ kind: 'signed-in', sellerId: 7 });
  await limits.request({ kind: 'page', caller: 'gig' });
  expect(refused).toEqual(['address']);
});
