import { expect, test } from '@jest/globals';
import { ClientPatch, LIMITS, NewClient, SellerId } from './client.ts';

test('only the name is needed, and text is trimmed and normalized', () => {
  expect(NewClient.parse({ name: '  Cafe\u0301 ' })).toEqual({
    name: 'Café',
    industry: '',
    description: '',
    logo: null,
    from: null,
    to: null,
  });
});

test('lengths count characters, not UTF-16 units', () => {
  expect(NewClient.safeParse({ name: '😀'.repeat(LIMITS.nameLength) }).success).toBe(true);
  expect(NewClient.safeParse({ name: '😀'.repeat(LIMITS.nameLength + 1) }).success).toBe(false);
  expect(NewClient.safeParse({ name: '   ' }).success).toBe(false);
});

test('text that a store would choke on is refused', () => {
  expect(NewClient.safeParse({ name: 'a\u0000b' }).success).toBe(false);
  expect(NewClient.safeParse({ name: 'a\ud800b' }).success).toBe(false);
});

test('text in which a decoder replaced what was no UTF-8 is refused', () => {
  const decoded = Buffer.from([0x61, 0xff, 0x62]).toString();
  expect(NewClient.safeParse({ name: decoded }).success).toBe(false);
});

test('a period cannot end before it begins', () => {
  expect(NewClient.safeParse({ name: 'a', from: '2024-05', to: '2024-05' }).success).toBe(true);
  expect(NewClient.safeParse({ name: 'a', from: '2024-05', to: '2024-04' }).success).toBe(false);
  expect(NewClient.safeParse({ name: 'a', from: '2024-13' }).success).toBe(false);
});

test('members that do not exist are refused rather than dropped', () => {
  expect(NewClient.safeParse({ name: 'a', logoo: 'x' }).success).toBe(false);
  expect(ClientPatch.safeParse({ id: 'x' }).success).toBe(false);
  expect(ClientPatch.safeParse({}).success).toBe(false);
});

test('a seller id is an integer that JSON carries exactly', () => {
  expect(SellerId.safeParse(Number.MAX_SAFE_INTEGER).success).toBe(true);
  for (const id of [0, -1, 1.5, Number.MAX_SAFE_INTEGER + 1, '1']) {
    expect(SellerId.safeParse(id).success).toBe(false);
  }
});
