import { describe, expect, test } from '@jest/globals';
import type { JWTPayload } from 'jose';
import { readCaller } from './claims.ts';

const NAMES = { jwtSellerClaim: 'sub', jwtScopeClaims: ['scope', 'scp'] };
const ERASE = 'top-clients:erase';

describe('scopes as identity providers write them', () => {
  test.each([
    ['Keycloak and Auth0: a text', { scope: `openid ${ERASE} profile` }],
    ['Entra, for a person: a text under another name', { scp: `${ERASE} User.Read` }],
    ['Okta: a list under another name', { scp: ['openid', ERASE] }],
    ['Duende and older ones: a list', { scope: ['openid', ERASE] }],
    ['more blanks than needed', { scope: `  openid   ${ERASE} ` }],
    ['both, of which one is empty', { scope: '', scp: [ERASE] }],
    ['both, of which one is null', { scope: null, scp: ERASE }],
  ])('%s', (_, claims) => {
    const read = readCaller({ sub: '7', ...claims }, NAMES);
    expect(read).toMatchObject({ caller: { sellerId: 7 } });
    expect('caller' in read && read.caller.scopes.has(ERASE)).toBe(true);
  });

  test.each([
    ['roles of an application, Entra', 'roles', { roles: [ERASE] }],
    ['permissions, Auth0', 'permissions', { permissions: [ERASE] }],
    ['a claim with a namespace', 'https://shop.example/scopes', { 'https://shop.example/scopes': ERASE }],
  ])('%s, once they are named', (_, name, claims) => {
    const scopesBy = (...jwtScopeClaims: string[]) => {
      const read = readCaller({ sub: '7', ...claims }, { ...NAMES, jwtScopeClaims });
      return 'caller' in read && [...read.caller.scopes];
    };
    expect(scopesBy('scope', name)).toEqual([ERASE]);
    expect(scopesBy('scope', 'scp')).toEqual([]);
  });

  test.each([
    ['an object', { scope: { [ERASE]: true } }, 'scope'],
    ['a number', { scp: 7 }, 'scp'],
    ['a list with something else in it', { scp: [ERASE, 7] }, 'scp'],
    ['a list of lists', { scope: [[ERASE]] }, 'scope'],
  ])('%s is refused, and the claim is named', (_, claims, name) => {
    expect(readCaller({ sub: '7', ...claims }, NAMES)).toEqual({
      why: `the claim ${name} is neither a text nor a list of texts`,
    });
  });

  test('a part of a scope, or more than it, is another one', () => {
    const read = readCaller({ sub: '7', scope: `${ERASE}-not top-clients` }, NAMES);
    expect('caller' in read && read.caller.scopes.has(ERASE)).toBe(false);
  });
});

describe('whose token it is', () => {
  const sellerBy = (claims: JWTPayload, jwtSellerClaim = 'sub') => {
    const read = readCaller(claims, { ...NAMES, jwtSellerClaim });
    return 'caller' in read ? read.caller.sellerId : read.why;
  };

  test('a text or a number', () => {
    expect(sellerBy({ sub: '7' })).toBe(7);
    expect(sellerBy({ seller_id: 7 }, 'seller_id')).toBe(7);
    expect(sellerBy({ 'https://shop.example/seller': '7' }, 'https://shop.example/seller')).toBe(7);
    expect(sellerBy({ sub: '9007199254740991' })).toBe(9_007_199_254_740_991);
  });

  test('the subject does not count where another claim holds the seller', () => {
    expect(sellerBy({ sub: '8', seller_id: '7' }, 'seller_id')).toBe(7);
    // Keycloak leaves the subject out where the client lacks the scope `basic`.
    expect(sellerBy({ seller_id: '7' }, 'seller_id')).toBe(7);
    expect(sellerBy({ sub: '8', scope: ERASE }, 'seller_id')).toBeNull();
  });

  test.each(['07', '7.0', '7e0', ' 7', '-7', '0', '', '9007199254740992', '7b2f0a9e', 7.5, -7, 1e300])(
    '%j is nobody’s',
    (sub) => {
      expect(sellerBy({ sub } as JWTPayload)).toBeNull();
    },
  );

  test('without a seller and a scope it is refused, and so is a form that we do not know', () => {
    expect(sellerBy({})).toBe('the claim sub is missing');
    expect(sellerBy({ sub: ['7'] } as unknown as JWTPayload)).toBe(
      'the claim sub is neither a text nor a number',
    );
    expect(sellerBy({ sub: { id: 7 }, scope: ERASE } as unknown as JWTPayload)).toBe(
      'the claim sub is neither a text nor a number',
    );
  });
});
