import { expect, test } from '@jest/globals';
import { ConfigError } from '#platform/config.ts';
import { callerCredential, callerKeys, credentialOf } from './caller-credential.ts';

const KEY = 'an-example-of-a-key-0123456789abcdef';

/** What was thrown, which must not say what a secret is. */
function complaintOf(read: () => unknown, secret: string): string {
  try {
    read();
  } catch (err) {
    expect(err).toBeInstanceOf(ConfigError);
    expect((err as Error).message).not.toContain(secret);
    return (err as Error).message;
  }
  throw new Error('nothing was thrown');
}

test('a credential is the name and an HMAC-SHA256 of it, as openssl makes one', () => {
  // printf %s gig | openssl dgst -sha256 -hmac an-example-of-a-key-0123456789abcdef
  expect(credentialOf(KEY, 'gig')).toBe(
    'gig.184b76d1a8aec8c282f5ad4fcd689738392ae071cbaf2bb452ca16a5da18e76d',
  );
  expect(callerCredential('TC_SOURCE_CREDENTIAL', ` ${credentialOf(KEY, 'self-view')}\n`)).toBe(
    credentialOf(KEY, 'self-view'),
  );
});

test('keys are those that are given; none is none', () => {
  expect(callerKeys({ NOW: `${KEY}\n`, NEXT: '', BEFORE: undefined })).toEqual([KEY]);
  expect(callerKeys({ NOW: undefined })).toEqual([]);
  expect(callerCredential('TC_SOURCE_CREDENTIAL', undefined)).toBeNull();
  expect(callerCredential('TC_SOURCE_CREDENTIAL', '')).toBeNull();
});

test('a key that could be guessed is refused by its name', () => {
  expect(complaintOf(() => callerKeys({ NOW: KEY, NEXT: 'hunter2' }), 'hunter2')).toMatch(
    /^NEXT: .*32 characters.*openssl rand/,
  );
});

test.each(['hunter2', `Nobody.${'0'.repeat(64)}`, 'gig.', `gig.${'g'.repeat(64)}`])(
  'what is no credential is refused by its name: %s',
  (value) => {
    expect(complaintOf(() => callerCredential('TC_SOURCE_CREDENTIAL', value), value)).toMatch(
      /^TC_SOURCE_CREDENTIAL: it is no credential/,
    );
  },
);
