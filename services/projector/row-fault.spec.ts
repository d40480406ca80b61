import { expect, test } from '@jest/globals';
import { isNotifyQueueFull, isRowsFault } from './row-fault.ts';

const open = new AbortController().signal;
const error = (code: string, file?: string) => Object.assign(new Error(code), { code, file });

test.each([
  ['22001', 'a text is too long', undefined],
  ['22P02', 'a text is no uuid', undefined],
  ['22P05', 'a character has no place in the encoding', undefined],
  ['23505', 'a key is there', undefined],
  ['23514', 'a check', undefined],
  ['54000', 'an index entry is too large', 'nbtutils.c'],
  ['54000', 'a row is too large', 'hio.c'],
  ['54000', 'an array is too large', 'arrayutils.c'],
])('SQLSTATE %s (%s) is the row’s', (code, _, file) => {
  expect(isRowsFault(error(code, file), open)).toBe(true);
});

test.each([
  ['54000', 'the queue of notifications is full', 'async.c'],
  ['54000', 'no transaction may begin before a vacuum', 'varsup.c'],
  ['54000', 'no multixact may begin before a vacuum', 'multixact.c'],
  ['54000', 'a table is full', 'bufmgr.c'],
  ['54001', 'the stack is too small', 'postgres.c'],
  ['54011', 'too many columns', undefined],
  ['54023', 'too many arguments', undefined],
  ['42P01', 'no table', undefined],
  ['42703', 'no column', undefined],
  ['42501', 'no permission', undefined],
  ['53100', 'no disk', undefined],
  ['53200', 'no memory', undefined],
  ['53400', 'a limit of the configuration', undefined],
  ['55P03', 'a lock', undefined],
  ['57014', 'a time-out', undefined],
  ['58030', 'an I/O error', undefined],
  ['40P01', 'a deadlock', undefined],
  ['25006', 'a standby', undefined],
  ['XX000', 'a bug', undefined],
  ['XX001', 'damaged data', undefined],
  ['EPIPE', 'the connection', undefined],
])('SQLSTATE %s (%s) is the server’s', (code, _, file) => {
  expect(isRowsFault(error(code, file), open)).toBe(false);
});

test('what the page’s own code throws is the row’s, unless the connection is lost', () => {
  const lost = new AbortController();
  expect(isRowsFault(new TypeError('no such member'), lost.signal)).toBe(true);
  lost.abort();
  expect(isRowsFault(new TypeError('no such member'), lost.signal)).toBe(false);
});

test('a full queue of notifications is told from other limits', () => {
  expect(isNotifyQueueFull(error('54000', 'async.c'))).toBe(true);
  expect(isNotifyQueueFull(error('54000', 'hio.c'))).toBe(false);
  expect(isNotifyQueueFull(new Error('any'))).toBe(false);
});
