import { expect, test } from '@jest/globals';
import { built, platformOf } from '../testing/platforms.ts';
import { issuer } from './issuer.ts';

test('the demonstration’s issuer reads its key from a secret, and names the audience that is accepted', () => {
  expect(built((scope) => issuer(scope, platformOf({ auth: { audience: 'shop' } })))).toMatchSnapshot();
});

test('none where tokens come from elsewhere', () => {
  const auth = { demoIssuer: false, issuer: 'https://a.example.com', jwksUrl: 'https://a.example.com/keys' };
  expect(built((scope) => issuer(scope, platformOf({ auth })))).toBe('');
});
