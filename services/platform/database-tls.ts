import pg from 'pg';
import { caFile, UNTRUSTED, whyNotTrusted } from './certificates.ts';
import { ConfigError, setting } from './config.ts';

/** The setting of a role for the authority of a database, beside that of its address. */
export const databaseCaFile = (
  env: `TC_${string}DATABASE_CA_FILE` | `TC_${string}DATABASE_REPLICA_CA_FILE`,
  of = 'that database',
) =>
  setting(
    env,
    `file with the PEM certificates to trust for ${of}; its address is then reached by TLS with sslmode=verify-full`,
    caFile().optional(),
  );

/** The values of `sslmode` in an address with which a certificate may be verified. */
const VERIFIES = new Set([undefined, 'prefer', 'require', 'verify-ca', 'verify-full']);

/**
 * Completes the TLS settings of the address. With a file, the certificate must be signed by an authority in it and be
 * for this host, whichever of the modes that encrypt the address asks for. Without a file the address decides.
 * `prefer`, `require` and `verify-ca` mean `verify-full` to pg 8 and something weaker to pg 9, so `verify-full` is
 * written instead. The file is read at every connection: a renewed one is used without a restart.
 * @throws ConfigError when the address asks for no verification and a file is given
 */
export function withTls(address: string, caFile: string | undefined): string {
  const at = address.lastIndexOf('?');
  const base = at < 0 ? address : address.slice(0, at);
  const settings = at < 0 ? [] : address.slice(at + 1).split('&');
  const of = (name: string) => settings.find((one) => one.startsWith(`${name}=`))?.slice(name.length + 1);
  const mode = of('sslmode');
  const without = (...names: string[]) =>
    settings.filter((one) => !names.some((name) => one.startsWith(`${name}=`)));
  if (caFile === undefined) {
    const rewritten = mode !== undefined && mode !== 'verify-full' && VERIFIES.has(mode);
    if (!rewritten || of('uselibpqcompat') === 'true') return address;
    return `${base}?${[...without('sslmode'), 'sslmode=verify-full'].join('&')}`;
  }
  if (!VERIFIES.has(mode) || of('ssl') === 'false' || of('ssl') === '0') {
    throw new ConfigError(
      `the address of a database asks for ${mode === undefined ? 'no TLS' : `sslmode=${mode}`}, and a file with the authority to trust for it is given; ` +
        'write sslmode=verify-full, or leave the file away',
    );
  }
  const kept = without('sslmode', 'sslrootcert', 'uselibpqcompat', 'ssl');
  const tls = ['sslmode=verify-full', `sslrootcert=${encodeURIComponent(caFile)}`];
  return `${base}?${[...kept, ...tls].join('&')}`;
}

/** A client that says why it does not trust a server, and what to change. */
export class DatabaseClient extends pg.Client {
  readonly #authority: string | null;
  readonly #refused: (err: Error) => void;

  /** @param refused told why no connection came about */
  constructor(config: pg.ClientConfig, refused: (err: Error) => void = () => {}) {
    super(config);
    this.#refused = refused;
    const file = /[?&]sslrootcert=([^&]*)/.exec(config.connectionString ?? '')?.[1];
    this.#authority = file === undefined ? null : decodeURIComponent(file);
  }

  // pg's pool asks by callback, everybody else by promise.
  override connect(): Promise<pg.Client>;
  override connect(callback: (err: Error) => void): void;
  override connect(callback?: (err: Error) => void): Promise<pg.Client> | undefined {
    if (callback) {
      super.connect((err: Error) => {
        if (err) this.#refused(err);
        callback(err && this.#explained(err));
      });
      return;
    }
    return super.connect().catch((err: Error) => {
      throw this.#explained(err);
    });
  }

  #explained(err: Error): Error {
    const { host, port } = this;
    const because = NO_TLS.test(err.message)
      ? `the database at ${host}:${port} does not speak TLS, which its address asks for; turn it on there (ssl = on), or write sslmode=disable`
      : whyNotTrusted(err, {
          what: 'the database',
          host,
          port,
          caFile: this.#authority,
          setting: 'TC_DATABASE_CA_FILE',
        });
    return because === null ? err : Object.assign(new Error(because, { cause: err }), { code: UNTRUSTED });
  }
}

// pg gives this no code.
const NO_TLS = /^The server does not support SSL connections/;
