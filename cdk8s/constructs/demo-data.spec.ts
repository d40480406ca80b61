import { expect, test } from '@jest/globals';
import { built, platformOf } from '../testing/platforms.ts';
import { demoData } from './demo-data.ts';

test('the demo’s data comes after each database has its tables, whichever pages are deployed', () => {
  expect(built((scope) => demoData(scope, platformOf({ demoData: { enabled: true } })))).toMatchSnapshot();
});

test('none unless asked for', () => {
  expect(built((scope) => demoData(scope, platformOf()))).toBe('');
});
