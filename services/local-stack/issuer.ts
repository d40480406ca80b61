import { createServer } from 'node:http';
import { type CryptoKey, exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';
import type { SignatureAlgorithm } from '#contracts/identity.ts';
import { listen } from '#platform/listen.ts';

/** Signs tokens like an identity provider, and serves its keys. */
export interface TestIssuer {
  readonly issuer: string;
  readonly audience: string;
  readonly jwksUrl: string;
  /** Answers `?seller=1` with a token of that seller, as the demo's issuer does; `&scope=` gives it a scope. */
  readonly tokenUrl: string;
  /** A valid token of the subject; `claims` and `header` override its contents. */
  token(
    subject: string | number,
    claims?: { [claim in keyof JWTPayload]: JWTPayload[claim] | undefined },
    header?: { kid?: string },
  ): Promise<string>;
  /** New keys under a new id; tokens are signed with them from now on. The old ones are withdrawn. */
  rotate(): Promise<void>;
  /** Answers requests for the keys with this status until told otherwise; 200 restores them. */
  answer(status: number): void;
  /** How often the keys were asked for. */
  readonly asked: number;
  close(): Promise<void>;
}

const LIFETIME_SECONDS = 600;

export async function startIssuer(algorithm: SignatureAlgorithm = 'ES256'): Promise<TestIssuer> {
  let status = 200;
  let asked = 0;
  let generation = 0;
  let signing: { kid: string; privateKey: CryptoKey; jwks: string };
  const rotate = async () => {
    const { publicKey, privateKey } = await generateKeyPair(algorithm);
    const kid = `key-${++generation}`;
    const jwk = { ...(await exportJWK(publicKey)), kid, alg: algorithm, use: 'sig' };
    signing = { kid, privateKey, jwks: JSON.stringify({ keys: [jwk] }) };
  };
  await rotate();
  const server = createServer((req, res) => {
    const { pathname, searchParams } = new URL(req.url ?? '/', 'http://issuer');
    if (pathname === '/token') {
      const scope = searchParams.get('scope') ?? undefined;
      void token(searchParams.get('seller') ?? '', { scope }).then((access_token) =>
        res
          .writeHead(200, { 'content-type': 'application/json' })
          .end(JSON.stringify({ access_token, token_type: 'Bearer', expires_in: LIFETIME_SECONDS })),
      );
      return;
    }
    asked += 1;
    res.writeHead(status, { 'content-type': 'application/json' }).end(status === 200 ? signing.jwks : '{}');
  });
  const origin = `http://127.0.0.1:${await listen(server, 0, '127.0.0.1')}`;
  const token: TestIssuer['token'] = (subject, claims = {}, header = {}) =>
    new SignJWT({
      iss: origin,
      aud: 'top-clients',
      sub: String(subject),
      exp: Math.floor(Date.now() / 1_000) + LIFETIME_SECONDS,
      ...claims,
    } as JWTPayload)
      .setProtectedHeader({ alg: algorithm, kid: signing.kid, ...header })
      .sign(signing.privateKey);
  return {
    issuer: origin,
    audience: 'top-clients',
    jwksUrl: `${origin}/.well-known/jwks.json`,
    tokenUrl: `${origin}/token`,
    token,
    rotate,
    answer: (next) => {
      status = next;
    },
    get asked() {
      return asked;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
