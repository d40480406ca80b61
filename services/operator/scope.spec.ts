import { expect, test } from '@jest/globals';
import { namespaces } from './scope.ts';

test.each([
  ['shop', ['shop']],
  ['shop, mall,shop', ['shop', 'mall']],
  ['*', 'all'],
])('%s is where it works', (text, scope) => {
  expect(namespaces().parse(text)).toEqual(scope);
});

test.each(['', 'shop,*', 'Shop', 'a.b', 'shop,,mall'])('“%s” is refused', (text) => {
  expect(namespaces().safeParse(text).error?.issues[0]?.message).toBe(
    'must be names of namespaces, or * alone',
  );
});
