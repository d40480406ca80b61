import { expect, test } from '@jest/globals';
import { compareJob, dropJob } from '../manifests.ts';
import type { ShownView } from '../platform.ts';
import { pageOf, platformOf } from '../testing/platforms.ts';

const view = { delivery: 'hybrid', version: 2 } as const;

test('a view is compared, and dropped, by jobs of their own', () => {
  const platform = platformOf();
  expect(compareJob(platform, pageOf('user'), view, 1)).toMatchSnapshot();
  const shown = { delivery: 'asynchronous', version: 8 } as const;
  expect(dropJob(platform, pageOf('user'), view, shown)).toMatchSnapshot();
});

test('only of a page that shows no view the last one may be removed', () => {
  const settings = (shown: ShownView) => JSON.stringify(dropJob(platformOf(), pageOf('user'), view, shown));
  expect(settings({ delivery: 'off' })).toContain('TC_EVEN_IF_SHOWN');
  expect(settings({ delivery: 'hybrid', version: 1 })).not.toContain('TC_EVEN_IF_SHOWN');
});

test('a further attempt is another job, for the last one has its verdict already', () => {
  const nameOf = (attempt: number) => compareJob(platformOf(), pageOf('user'), view, attempt).metadata.name;
  expect(nameOf(1)).toBe(nameOf(1));
  expect(nameOf(1)).not.toBe(nameOf(2));
});
