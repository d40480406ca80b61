import { expect, test } from '@jest/globals';
import { OptionsRefused, readOptions } from './options.ts';
import { estimateSeconds, plan } from './plan.ts';

const read = (...args: string[]) => readOptions(args, '/out');

test('without flags everything is measured, three times', () => {
  const options = read();
  expect(options).toMatchObject({
    rounds: 3,
    shares: [33, 5, 90],
    rate: null,
    out: '/out',
    acceptBusy: false,
  });
  expect(options.variants).toHaveLength(5);
  expect(options.conditions).toHaveLength(5);
});

test.each([
  [['--rounds', '0'], '--rounds takes a whole number from 1 to 100, not "0"'],
  [['--rounds', 'three'], 'not "three"'],
  [['--rounds', ''], 'not ""'],
  [['--rate', '1.5'], '--rate takes a whole number'],
  [['--pages', 'gig,home'], '--pages takes gig, user, search, separated by commas, not "home"'],
  [['--variants', 'fast'], '--variants takes off, serial'],
  [['--conditions', ''], '--conditions takes healthy'],
  [['--shares', '33,100'], '--shares takes whole percents from 1 to 99'],
  [['--sellers', '5'], '--sellers takes a whole number from 200'],
  [['--unknown'], "Unknown option '--unknown'"],
  [['gig'], 'gig'],
])('%p is refused in words', (args, message) => {
  expect(() => read(...args)).toThrow(OptionsRefused);
  expect(() => read(...args)).toThrow(message);
});

test('every round visits every page and variant under every condition, in an order of its own that the seed decides', () => {
  const options = read('--seed', '7');
  const legs = plan(options, 33);
  expect(legs).toHaveLength(3 * 5);
  const visitsOf = (round: number, condition: string) =>
    legs
      .find((leg) => leg.round === round && leg.condition === condition)!
      .visits.map(({ page, variant }) => `${page}/${variant}`);
  for (const round of [1, 2, 3]) expect(new Set(visitsOf(round, 'kafka-down')).size).toBe(15);
  expect(visitsOf(1, 'healthy')).not.toEqual(visitsOf(2, 'healthy'));
  expect(plan(options, 33)).toEqual(legs);
  expect(plan({ ...options, seed: 8 }, 33)).not.toEqual(legs);
});

test('faults are measured under the first share alone', () => {
  expect(new Set(plan(read(), 5).map((leg) => leg.condition))).toEqual(new Set(['healthy']));
});

test('a quick run visits every variant of every page, and takes less than five minutes', () => {
  const options = read('--quick');
  const healthy = plan(options, 33).find((leg) => leg.condition === 'healthy')!;
  expect(healthy.visits).toHaveLength(15);
  expect(estimateSeconds(options)).toBeLessThan(300);
});
