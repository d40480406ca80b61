import { expect, test } from '@jest/globals';
import { CATALOGUE } from './catalogue.ts';
import { MUTATIONS } from './mutations.ts';
import { choose, readOptions } from './options.ts';

const read = (env: Record<string, string>) => readOptions(env, CATALOGUE, () => 99);

test('without anything it is ten minutes of everything, from a seed that is drawn', () => {
  expect(read({})).toEqual({ seed: 99, minutes: 10, faults: null, mutations: [], once: false });
  // As make hands on what was not given.
  expect(read({ SEED: '', MINUTES: '', FAULTS: '', MUTATE: '', ONCE: '' })).toEqual(read({}));
});

test('faults and mutations go by name', () => {
  const { seed, faults, mutations } = read({ SEED: '7', FAULTS: 'kill-relay, poison', MUTATE: 'id-cursor' });
  expect([seed, faults?.map(({ name }) => name), mutations.map(({ name }) => name)]).toEqual([
    7,
    ['kill-relay', 'poison'],
    ['id-cursor'],
  ]);
  expect(read({ MUTATE: 'all' }).mutations).toEqual(MUTATIONS);
});

test.each([
  [{ FAULTS: 'no-such' }, 'there are kill-source'],
  [{ MUTATE: 'no-such' }, 'there are drop-version-guard'],
  [{ SEED: 'x' }, 'SEED=x'],
  [{ SEED: '1.5' }, 'SEED=1.5'],
  [{ MINUTES: '0' }, 'MINUTES=0'],
])('refuses %j and says what there is', (env, words) => {
  expect(() => read(env as never)).toThrow(words);
});

test('what takes too long, or is not to be had, is left out and named', () => {
  const [one] = CATALOGUE;
  const long = { ...one!, name: 'long', fromMinutes: 8 };
  const lacking = { ...one!, name: 'lacking', missing: () => 'no such tool' };
  expect(choose([one!, long, lacking], 5)).toEqual({
    faults: [one],
    left: ['long: it needs MINUTES=8', 'lacking: no such tool'],
  });
  expect(choose([long], 8).faults).toEqual([long]);
});
