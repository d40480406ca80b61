import { expect, test } from '@jest/globals';
import { curves, roundUp } from './curves.ts';

test('an axis ends at a round number', () => {
  expect([0.03, 1, 1.1, 4.9, 5, 70].map(roundUp)).toEqual([0.05, 1, 2, 5, 5, 100]);
});

test('a line has a mark at the median of each point, and reaches from its least to its most run', () => {
  const svg = curves('a title', [
    {
      title: 'a panel',
      lines: [
        {
          ...{ name: 'p50', colour: '#000' },
          points: [
            { x: 1, values: [1, 2, 10] },
            { x: 100, values: [5] },
          ],
        },
      ],
    },
  ]);
  expect(svg).toContain('aria-label="a title"');
  // The median 2 of at most 10: a fifth of the way up from 262 to 56; the spread from there to the top.
  expect(svg).toContain('cy="220.8"');
  expect(svg).toContain('y1="241.4" y2="56"');
  expect(svg).toContain('points="48,220.8 398,159"');
});
