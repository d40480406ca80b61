import { expect, test } from '@jest/globals';
import { compareJob, dropJob } from '../manifests.ts';
import { platformOf } from '../testing/platforms.ts';

const view = { delivery: 'hybrid', version: 2 } as const;

test('a view is compared, and dropped, by jobs of their own', () => {
  const platform = platformOf();
  expect(compareJob(platform, 'user', view, 1)).toMatchSnapshot();
  expect(dropJob(platform, 'user', view)).toMatchSnapshot();
});

test('a further attempt is another job, for the last one has its verdict already', () => {
  const nameOf = (attempt: number) => compareJob(platformOf(), 'user', view, attempt).metadata.name;
  expect(nameOf(1)).toBe(nameOf(1));
  expect(nameOf(1)).not.toBe(nameOf(2));
  expect(
    compareJob(platformOf(), 'search', { delivery: 'asynchronous', version: 1_000_000 }, 999).metadata.name
      .length,
  ).toBeLessThanOrEqual(63);
});
