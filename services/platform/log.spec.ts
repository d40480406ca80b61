import { expect, test } from '@jest/globals';
import { openLog, withoutPasswords } from './log.ts';

function lines() {
  const written: string[] = [];
  const log = openLog('spec', 'info', { write: (line) => void written.push(line) });
  return { log, written };
}

test('of what a driver hangs on an error only what says what went wrong is told', () => {
  const { log, written } = lines();
  const err = Object.assign(new Error('duplicate key', { cause: new Error('the cause') }), {
    code: '23505',
    table: 'seller',
    detail: 'Key (name)=(Nobody may read this) already exists.',
    client: { secretKey: 'Nobody may read this', queries: [{ values: ['Nobody may read this'] }] },
    input: 'postgresql://user:Nobody may read this@host/',
  });
  log.error({ err }, 'could not write');
  log.error({ err: new AggregateError([err], 'all failed') });
  expect(written.join()).not.toContain('Nobody may read this');
  expect(JSON.parse(written[0]!)).toMatchObject({
    err: { type: 'Error', message: 'duplicate key: the cause', code: '23505', table: 'seller' },
  });
  expect(JSON.parse(written[1]!)).toMatchObject({ err: { aggregateErrors: [{ code: '23505' }] } });
});

test('an address in a message is told without its password, and a line stays JSON', () => {
  const { log, written } = lines();
  log.error({ err: new TypeError('Failed to parse URL from https://idp:geheim@host/keys') });
  log.warn({ at: 'postgresql://u:p@ss/w#rt@db:5432/x' }, 'at "redis://:geheim@h", or http://h/a:b');
  expect(written.join()).not.toMatch(/geheim|p@ss|w#rt/);
  expect(JSON.parse(written[0]!).err.message).toBe('Failed to parse URL from https://idp:…@host/keys');
  expect(JSON.parse(written[1]!)).toMatchObject({
    at: 'postgresql://u:…@db:5432/x',
    msg: 'at "redis://:…@h", or http://h/a:b',
  });
  expect(withoutPasswords('user@host says 10:30')).toBe('user@host says 10:30');
});
