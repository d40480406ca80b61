import { createHmac } from 'node:crypto';
import { z } from 'zod';
import { Caller } from '#contracts/callers.ts';
import { ConfigError } from '#platform/config.ts';

/** As `openssl rand -base64 32` makes it; a shorter key could be guessed. */
const SHORTEST_KEY = 32;

/**
 * What a caller sends to say who it is: its name, and an HMAC-SHA256 of the name in hexadecimal. Whoever has the key
 * can pass for any caller, so only the source has it. Each caller has its own credential and cannot make another's.
 */
export const credentialOf = (key: string, caller: Caller): string =>
  `${caller}.${createHmac('sha256', key).update(caller).digest('hex')}`;

/** A secret of the environment. The schema does not check it, because its error would show it. */
export const secretText = () => z.string().optional();

/**
 * The keys among settings; an empty text is none.
 * @param settings the name of each setting and what it holds
 * @throws ConfigError naming the settings whose key is too short, never the key
 */
export function callerKeys(settings: Readonly<Record<string, string | undefined>>): readonly string[] {
  const given = Object.entries(settings).flatMap(([name, value]) => {
    const key = value?.trim() ?? '';
    return key === '' ? [] : [{ name, key }];
  });
  const short = given.filter(({ key }) => key.length < SHORTEST_KEY).map(({ name }) => name);
  if (short.length > 0) {
    throw new ConfigError(
      `${short.join(', ')}: a key has at least ${SHORTEST_KEY} characters, such as openssl rand -base64 32 makes`,
    );
  }
  return given.map(({ key }) => key);
}

const CREDENTIAL = /^([^.]+)\.[0-9a-f]{64}$/;

/**
 * A credential that has the form of one; an empty text is none.
 * @throws ConfigError naming the setting, never what it holds
 */
export function callerCredential(name: string, value: string | undefined): string | null {
  const credential = value?.trim() ?? '';
  if (credential === '') return null;
  if (Caller.safeParse(CREDENTIAL.exec(credential)?.[1]).success) return credential;
  throw new ConfigError(
    `${name}: it is no credential; one is the caller's name, a dot and 64 hexadecimal digits, made from the source's key`,
  );
}
