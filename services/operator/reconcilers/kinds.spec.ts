import { expect, test } from '@jest/globals';
import { compareJob, dropJob, pageObjects, platformObjects } from '#cdk8s/manifests.ts';
import { OPERATOR } from '#cdk8s/own-names.ts';
import { EXAMPLES } from '#cdk8s/testing/platforms.ts';
import { MANAGED_BY } from '../runtime/apply.ts';
import { kindKey } from '../runtime/objects.ts';
import { BUILT_IN, OF_OTHERS } from './kinds.ts';

const KNOWN = new Set([...BUILT_IN, ...OF_OTHERS].map(kindKey));

test.each(Object.entries(EXAMPLES))(
  'every object of %s is of a kind that is watched and pruned',
  (_, example) => {
    const { platform, pages } = example('shop');
    const objects = [
      ...Object.values(platformObjects(platform)).flat(),
      ...pages.flatMap((page) => [
        ...Object.values(pageObjects(platform, page)).flat(),
        compareJob(platform, page, { delivery: 'hybrid', version: 2 }, 1),
        dropJob(platform, page, { delivery: 'hybrid', version: 2 }, page.shown),
      ]),
    ];
    expect(objects.filter((object) => !KNOWN.has(kindKey(object)))).toEqual([]);
    expect(objects.filter(({ metadata }) => metadata.labels?.[MANAGED_BY] !== OPERATOR)).toEqual([]);
    expect(objects.filter(({ metadata }) => metadata.namespace !== 'shop')).toEqual([]);
  },
);
