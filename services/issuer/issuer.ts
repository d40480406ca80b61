import { randomUUID } from 'node:crypto';
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import type { CryptoKey, JWK } from 'jose';
import { calculateJwkThumbprint } from 'jose/jwk/thumbprint';
import { SignJWT } from 'jose/jwt/sign';
import { exportJWK } from 'jose/key/export';
import { generateKeyPair } from 'jose/key/generate/keypair';
import { importJWK } from 'jose/key/import';
import { SellerId } from '#contracts/client.ts';
import { type Problem, problem } from '#contracts/problems.ts';

export const AUDIENCE = 'top-clients';
const LIFETIME_SECONDS = 3_600;
/** Scopes that a token may be asked for, beyond being its seller. */
const SCOPES: readonly string[] = ['top-clients:erase', 'top-clients:audit'];

export interface Token {
  readonly access_token: string;
  readonly token_type: 'Bearer';
  readonly expires_in: number;
}

/**
 * Signs in anybody as any seller, without a password: only for a demonstration on one's own machine. Its tokens are
 * real all the same: JWTs signed with ES256, whose public key is in a JWKS.
 */
export interface Issuer {
  readonly name: string;
  /** The public keys, as `/.well-known/jwks.json` answers them. */
  readonly jwks: { readonly keys: readonly JWK[] };
  token(sellerId: number, scopes?: readonly string[]): Promise<Token>;
  /** Answers `/token?seller=1&scope=top-clients:erase`. */
  answer(query: URLSearchParams): Promise<Token | Problem>;
}

/**
 * @param keyFile holds the private key as a JWK; made when absent, so that tokens outlive a restart
 * @param name the `iss` of the tokens
 * @throws when the file holds no such key, or cannot be made; the message says what to change
 */
export async function openIssuer(keyFile: string, name: string, audience = AUDIENCE): Promise<Issuer> {
  const { key, open } = await readKey((await textOf(keyFile)) ?? (await makeKey(keyFile)), keyFile);
  const kid = await calculateJwkThumbprint(open);
  const token: Issuer['token'] = async (sellerId, scopes = []) => ({
    access_token: await new SignJWT(scopes.length > 0 ? { scope: scopes.join(' ') } : {})
      .setProtectedHeader({ alg: 'ES256', kid, typ: 'JWT' })
      .setIssuer(name)
      .setAudience(audience)
      .setSubject(String(sellerId))
      .setIssuedAt()
      .setExpirationTime(`${LIFETIME_SECONDS}s`)
      .sign(key),
    token_type: 'Bearer',
    expires_in: LIFETIME_SECONDS,
  });
  return {
    name,
    jwks: { keys: [{ ...open, kid, alg: 'ES256', use: 'sig' }] },
    token,
    async answer(query) {
      const asked = readRequest(query);
      return 'sellerId' in asked ? token(asked.sellerId, asked.scopes) : asked;
    },
  };
}

function readRequest(query: URLSearchParams): { sellerId: number; scopes: readonly string[] } | Problem {
  const errors: { at: string; message: string }[] = [];
  for (const name of new Set(query.keys())) {
    if (name !== 'seller' && name !== 'scope')
      errors.push({ at: name, message: 'is not a parameter of /token' });
    else if (query.getAll(name).length > 1) errors.push({ at: name, message: 'must be given once' });
  }
  const seller = query.get('seller') ?? '';
  const sellerId = SellerId.safeParse(/^[1-9]\d*$/.test(seller) ? Number(seller) : Number.NaN);
  if (!sellerId.success) errors.push({ at: 'seller', message: 'must be a seller, a positive whole number' });
  const scopes = (query.get('scope') ?? '').split(' ').filter((scope) => scope !== '');
  const unknown = scopes.filter((scope) => !SCOPES.includes(scope));
  if (unknown.length > 0) errors.push({ at: 'scope', message: `may only name ${SCOPES.join(', ')}` });
  if (errors.length > 0 || !sellerId.success) {
    return problem(
      'invalid-request',
      'ask like /token?seller=1, or /token?seller=1&scope=top-clients:erase',
      {
        errors,
      },
    );
  }
  return { sellerId: sellerId.data, scopes };
}

/** Null when there is no such file. */
const textOf = (file: string): Promise<string | null> =>
  readFile(file, 'utf8').catch((err: NodeJS.ErrnoException) => {
    if (err.code === 'ENOENT') return null;
    throw new Error(`the key ${file} cannot be read: ${err.message}`, { cause: err });
  });

async function readKey(text: string, file: string): Promise<{ key: CryptoKey; open: JWK }> {
  try {
    const { d, ...open } = JSON.parse(text) as JWK;
    if (d === undefined) throw new Error('it has no private part "d"');
    return { key: (await importJWK({ ...open, d }, 'ES256')) as CryptoKey, open };
  } catch (cause) {
    const { message } = cause as Error;
    throw new Error(`${file} is not a private key for ES256 as a JWK: ${message}`, { cause });
  }
}

/** @returns the file's content afterwards: another process's key if that one was faster */
async function makeKey(file: string): Promise<string> {
  const { privateKey } = await generateKeyPair('ES256', { extractable: true });
  const text = JSON.stringify(await exportJWK(privateKey));
  const unfinished = `${file}.${randomUUID()}`;
  try {
    await writeFile(unfinished, text, { mode: 0o600 });
    // Unlike a rename, a link does not replace an existing file.
    await link(unfinished, file);
    return text;
  } catch (cause) {
    const made = await textOf(file);
    if (made !== null) return made;
    throw new Error(
      `there is no key ${file}, and it cannot be made: ${(cause as Error).message}; ` +
        'mount one, or name a file in a folder that can be written to',
      { cause },
    );
  } finally {
    await rm(unfinished, { force: true }).catch(() => {});
  }
}
