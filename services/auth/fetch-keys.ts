import type { IncomingMessage } from 'node:http';
import type { JSONWebKeySet, JWK } from 'jose';
import { createLocalJWKSet } from 'jose/jwks/local';
import { z } from 'zod';
import type { SignatureAlgorithm } from '#contracts/identity.ts';

/** Far above any provider's set, certificates included; a page that never ends must not fill the memory. */
const MOST_BYTES = 256 * 1024;
/** As RFC 7518 asks for. */
const LEAST_RSA_BITS = 2_048;

const Jwks = z.object({ keys: z.array(z.record(z.string(), z.unknown())) });
const KEY_TYPE = { ES: 'EC', RS: 'RSA', PS: 'RSA', Ed: 'OKP' } as const;

/** The keys that a provider publishes, as far as they can verify a token by one of the accepted algorithms. */
export interface PublishedKeys {
  readonly find: ReturnType<typeof createLocalJWKSet>;
  /** Ids of the keys, sorted; a key without an id is listed by its type. */
  readonly ids: readonly string[];
}

/**
 * Asks for the keys once.
 * @throws with a sentence that says what the provider did, when it gives no such keys within the deadline
 */
export async function fetchKeys(
  address: string,
  algorithms: readonly SignatureAlgorithm[],
  timeoutMs: number,
  closing: AbortSignal,
): Promise<PublishedKeys> {
  const deadline = AbortSignal.timeout(timeoutMs);
  let text: string;
  try {
    const answer = await ask(new URL(address), AbortSignal.any([deadline, closing]));
    if (answer.statusCode !== 200) {
      answer.destroy();
      const to = answer.headers.location;
      throw new Error(
        `answered ${answer.statusCode}${to === undefined ? '' : `, to ${to}; name the address where the keys are`}`,
      );
    }
    text = await readText(answer);
  } catch (cause) {
    const why = deadline.aborted ? `did not answer within ${timeoutMs} ms` : reasonOf(cause);
    throw new Error(`${address} ${why}`, { cause });
  }
  const keys = usableKeys(text, algorithms);
  if (keys === undefined) throw new Error(`${address} answered no JSON Web Key Set`);
  if (keys.length === 0) {
    throw new Error(
      `${address} has no public key for ${algorithms.join(', ')}; which algorithm does it sign with?`,
    );
  }
  return {
    find: createLocalJWKSet({ keys } as JSONWebKeySet),
    ids: keys.map(({ kid, kty }) => String(kid ?? kty)).sort(),
  };
}

/**
 * The answer, once its headers are there. Not by `fetch`: to load it takes 0.1 s of a start, and 13 MB.
 * @throws what `node:http` throws
 */
function ask(address: URL, signal: AbortSignal): Promise<IncomingMessage> {
  const { request } = process.getBuiltinModule(address.protocol === 'http:' ? 'node:http' : 'node:https');
  const headers = { accept: 'application/jwk-set+json, application/json' };
  return new Promise((resolve, reject) => {
    // Without an agent the connection is not kept: the next request is minutes away.
    request(address, { agent: false, headers, signal }, resolve).on('error', reject).end();
  });
}

/** Errors of the connection have a code. Where several addresses were tried, it is the first one's that says why. */
const reasonOf = (err: unknown): string => {
  const { message, code, errors } = err as Error & { code?: unknown; errors?: readonly Error[] };
  return code === undefined ? message : `cannot be reached: ${message || errors?.[0]?.message}`;
};

async function readText(answer: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  // Leaving the loop ends the connection.
  for await (const part of answer as AsyncIterable<Buffer>) {
    bytes += part.byteLength;
    if (bytes > MOST_BYTES) throw new Error(`answered more than ${MOST_BYTES} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}

/**
 * The keys that can verify a token; undefined when the text is no key set. Those of other kinds are left out: one that
 * is broken, or meant for encryption, must not stand in the way of the others.
 */
function usableKeys(text: string, algorithms: readonly SignatureAlgorithm[]): JWK[] | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  const set = Jwks.safeParse(json);
  if (!set.success) return undefined;
  const types = new Set(algorithms.map((name) => KEY_TYPE[name.slice(0, 2) as keyof typeof KEY_TYPE]));
  return (set.data.keys as unknown as JWK[]).filter(
    ({ kty, alg, use, n }) =>
      (use === undefined || use === 'sig') &&
      types.has(kty as 'RSA') &&
      (alg === undefined || (algorithms as readonly string[]).includes(alg)) &&
      (kty !== 'RSA' || Buffer.from(String(n), 'base64url').length * 8 >= LEAST_RSA_BITS),
  );
}
