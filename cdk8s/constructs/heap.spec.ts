import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { EXAMPLES, objectsOf, podOf } from '../testing/platforms.ts';

const TEMPLATES = new URL('../../charts/top-clients/templates/', import.meta.url);
const FOLLOWS = '--max-old-space-size-percentage=75';

test.each(Object.entries(EXAMPLES))(
  '%s: the heap of every role follows its container’s limit',
  (_, example) => {
    const containers = objectsOf(example('shop')).flatMap((object) => {
      const { initContainers = [], containers = [] } = podOf(object)?.spec ?? {};
      return [...initContainers, ...containers].filter(({ env }) =>
        env?.some(({ name }) => name === 'NODE_OPTIONS'),
      );
    });
    expect(containers.length).toBeGreaterThan(5);
    const options = containers.map(({ env }) => env?.find(({ name }) => name === 'NODE_OPTIONS')?.value);
    expect(options.filter((text) => !text?.includes(FOLLOWS) || /max-old-space-size=/.test(text))).toEqual(
      [],
    );
  },
);

test('and so does that of what the chart itself runs', () => {
  const files = readdirSync(TEMPLATES, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.yaml'),
  );
  const texts = files.map((file) => readFileSync(new URL(file, TEMPLATES), 'utf8'));
  expect(texts.filter((text) => /max-old-space-size=/.test(text))).toEqual([]);
  const running = texts.filter((text) => text.includes('include "top-clients.image"'));
  expect(running.map((text) => text.split(FOLLOWS).length - 1)).toEqual(
    running.map((text) => text.match(/^ *args: \[/gm)?.length),
  );
});
