import { expect, test } from '@jest/globals';
import { conditionsOf, degraded, no, transitions, yes } from './conditions.ts';

const NOW = Date.parse('2026-11-23T12:00:00Z');
const first = conditionsOf([], { Ready: no('Starting', 'not yet') }, 1, NOW);

test('the instant of a transition stays while only reason and message change', () => {
  const later = conditionsOf(first, { Ready: no('Waiting', 'still not') }, 2, NOW + 5_000);
  expect(later).toEqual([
    {
      type: 'Ready',
      status: 'False',
      reason: 'Waiting',
      message: 'still not',
      observedGeneration: 2,
      lastTransitionTime: '2026-11-23T12:00:00Z',
    },
  ]);
});

test('the instant moves with the status', () => {
  const [ready] = conditionsOf(first, { Ready: yes('Ready', 'all is') }, 1, NOW + 5_000);
  expect(ready?.lastTransitionTime).toBe('2026-11-23T12:00:05Z');
});

test('several troubles are all told, the first names the reason', () => {
  expect(
    degraded([
      { reason: 'ForeignObject', message: 'a' },
      { reason: 'MigrationFailed', message: 'b' },
    ]),
  ).toEqual(yes('ForeignObject', 'a; b'));
});

test('a change of reason is told once, a change of message is not', () => {
  const reason = conditionsOf(first, { Ready: no('Waiting', 'for stores') }, 1, NOW);
  expect(transitions(first, reason, [])).toEqual([
    { type: 'Normal', reason: 'Waiting', message: 'Ready is False: for stores' },
  ]);
  expect(
    transitions(reason, conditionsOf(reason, { Ready: no('Waiting', 'for Kafka') }, 1, NOW), []),
  ).toEqual([]);
});

test('at first only what is wrong is told', () => {
  const bad = conditionsOf([], { Ready: no('X', 'x'), Degraded: yes('InvalidSpec', 'y') }, 1, NOW);
  expect(transitions([], bad, []).map(({ reason }) => reason)).toEqual(['InvalidSpec']);
});
