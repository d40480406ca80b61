import { expect, test } from '@jest/globals';
import { built, OWN_ISSUER, platformOf } from '../testing/platforms.ts';
import { issuer } from './issuer.ts';

test('the demonstration’s issuer reads its key from a secret, and names the audience that is accepted', () => {
  expect(built((scope) => issuer(scope, platformOf({ auth: { audience: 'shop' } })))).toMatchSnapshot();
});

test('none where tokens come from elsewhere', () => {
  expect(built((scope) => issuer(scope, platformOf(OWN_ISSUER)))).toBe('');
});
