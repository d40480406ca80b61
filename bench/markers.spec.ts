import { expect, test } from '@jest/globals';
import { replaceBetweenMarkers } from './markers.ts';

test('only what stands between the markers is replaced, and again the next time', () => {
  const text = 'before\n<!-- a -->\nold\n<!-- /a -->\nafter <!-- b --><!-- /b -->';
  const once = replaceBetweenMarkers(text, 'a', 'new');
  expect(once).toBe('before\n<!-- a -->\nnew\n<!-- /a -->\nafter <!-- b --><!-- /b -->');
  expect(replaceBetweenMarkers(once, 'a', 'new')).toBe(once);
});

test('a document without the place is named, not silently left', () => {
  expect(() => replaceBetweenMarkers('text', 'a', 'x')).toThrow('no place <!-- a -->');
  expect(() => replaceBetweenMarkers('<!-- /a --><!-- a -->', 'a', 'x')).toThrow('no place');
});
