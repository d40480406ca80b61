import { X509Certificate } from 'node:crypto';
import { isNativeError } from 'node:util/types';
import { z } from 'zod';

/** The code of an error that says why the certificate of a server is not trusted. */
export const UNTRUSTED = 'UNTRUSTED_CERTIFICATE';

const NOT_SIGNED = new Set([
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_SIGNATURE_FAILURE',
  'CERT_UNTRUSTED',
  'INVALID_CA',
]);
const OUT_OF_TIME: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'has expired',
  CERT_NOT_YET_VALID: 'is not valid yet',
};

/** A file with the certificates to trust. It is read at the start only to say what is wrong with it. */
export const caFile = () =>
  z.string().superRefine((file, context) => {
    const because = whyUnusable(file);
    if (because !== null) context.addIssue({ code: 'custom', message: because });
  });

function whyUnusable(file: string): string | null {
  let text: string;
  try {
    text = process.getBuiltinModule('node:fs').readFileSync(file, 'utf8');
  } catch (err) {
    return `the file cannot be read (${(err as NodeJS.ErrnoException).code}); mount it, or correct the path`;
  }
  try {
    // Node accepts a file without certificates as one that trusts nobody, and complains at every connection.
    new X509Certificate(text);
    return null;
  } catch {
    return 'the file holds no certificate; it must be PEM, -----BEGIN CERTIFICATE-----';
  }
}

/** The server that a connection was to reach, and the certificates to trust for it. */
export interface Peer {
  /** As in "the database". */
  readonly what: string;
  readonly host: string;
  readonly port: number;
  /** Null: the public authorities that Node knows. */
  readonly caFile: string | null;
  /** The setting that names such a file. */
  readonly setting: string;
}

/**
 * Why a server was not trusted, in a sentence that says what to change; null for an error about anything else.
 * @param err as Node's TLS has it
 */
export function whyNotTrusted(err: unknown, peer: Peer): string | null {
  if (!isNativeError(err)) return null;
  const { code } = err as NodeJS.ErrnoException;
  const whose = `the certificate of ${peer.what} at ${peer.host}:${peer.port}`;
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const { cert } = err as { cert?: { subjectaltname?: string } };
    const names = cert?.subjectaltname ? `is for ${cert.subjectaltname}` : 'names no host';
    return `${whose} ${names}, not for ${peer.host}; connect by a name that it has, or have one made for this host`;
  }
  if (code === undefined) return null;
  const time = OUT_OF_TIME[code];
  if (time !== undefined) return `${whose} ${time}, or the clock of this machine is wrong; renew it`;
  if (!NOT_SIGNED.has(code)) return null;
  return peer.caFile === null
    ? `${whose} is not signed by a public authority (${code}); name the file with the authority that signed it in ${peer.setting}`
    : `${whose} is not signed by an authority in ${peer.caFile} (${code}); put the authority that signed it into that file`;
}
