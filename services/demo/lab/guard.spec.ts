import { expect, test } from '@jest/globals';
import { openGuard } from './guard.ts';

const guard = openGuard('127.0.0.1');

test.each(['localhost:8080', '127.0.0.1:8080', '[::1]:8080', '127.1.2.3', '192.168.1.7:8080'])(
  'asked as %s, we answer',
  (host) => expect(guard.isOurs(host)).toBe(true),
);

test.each([undefined, '', 'evil.example:8080', 'localhost.evil.example', '127.0.0.1.evil.example', 'a b'])(
  'asked as %s, we do not',
  (host) => expect(guard.isOurs(host)).toBe(false),
);

test('the name given by --host is ours as well', () => {
  expect(openGuard('workshop.local').isOurs('workshop.local:8080')).toBe(true);
});

test('only our own page on this machine may change something', () => {
  expect(guard.mayChange('localhost:8080', 'http://localhost:8080')).toBe(true);
  expect(guard.mayChange('[::1]:8080', 'http://[::1]:8080')).toBe(true);
  for (const origin of [
    undefined,
    'null',
    'http://localhost:8081',
    'https://localhost:8080',
    'http://evil.example',
  ]) {
    expect(guard.mayChange('localhost:8080', origin)).toBe(false);
  }
  expect(guard.mayChange('192.168.1.7:8080', 'http://192.168.1.7:8080')).toBe(false);
  expect(guard.mayChange('evil.example', 'http://evil.example')).toBe(false);
});
