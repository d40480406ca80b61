import { expect, test } from '@jest/globals';
import { builtOnce } from './built-once.ts';
import { pageObjects, platformObjects } from './manifests.ts';
import { EXAMPLES } from './testing/platforms.ts';

test('what was built is built anew only of inputs that differ, in whatever', () => {
  const asked: string[] = [];
  const build = builtOnce(
    (platform: { readonly spec: { readonly name: string } }, page: readonly number[]) => {
      asked.push(`${platform.spec.name} ${page}`);
      return { objects: [platform.spec.name, ...page] };
    },
  );

  const first = build({ spec: { name: 'a' } }, [1, 2]);
  expect(build({ spec: { name: 'a' } }, [1, 2])).toBe(first);
  expect(build({ spec: { name: 'b' } }, [1, 2])).toEqual({ objects: ['b', 1, 2] });
  expect(build({ spec: { name: 'a' } }, [1, 3])).toEqual({ objects: ['a', 1, 3] });
  expect(asked).toEqual(['a 1,2', 'b 1,2', 'a 1,3']);
});

test('who gets what was built cannot change it for the next one', () => {
  const build = builtOnce((spec: { readonly name: string }) => ({ objects: [{ metadata: { ...spec } }] }));
  const [object] = build({ name: 'a' }).objects;
  expect(() => {
    (object as { metadata: { name: string } }).metadata.name = 'b';
  }).toThrow(TypeError);
  expect(() => build({ name: 'a' }).objects.push()).toThrow(TypeError);
});

test('little is kept: what was not asked for during many others is built again', () => {
  let built = 0;
  const build = builtOnce((spec: { readonly generation: number }) => {
    built += 1;
    return { ...spec };
  });
  for (let generation = 0; generation < 1_000; generation++) build({ generation });
  build({ generation: 0 });
  expect(built).toBe(1_001);
});

test.each(Object.keys(EXAMPLES))(
  'nothing of what %s is built of is lost when inputs are compared',
  (name) => {
    const { platform, pages } = EXAMPLES[name]!('shop');
    for (const input of [platform, ...pages]) expect(JSON.parse(JSON.stringify(input))).toEqual(input);
    expect(platformObjects(structuredClone(platform))).toBe(platformObjects(platform));
    for (const page of pages)
      expect(pageObjects(platform, structuredClone(page))).toBe(pageObjects(platform, page));
  },
);
