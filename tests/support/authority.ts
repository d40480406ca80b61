/** A private certificate authority, as companies have, and the certificates it signs. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runToEnd } from '../../services/local-stack/process.ts';

export interface Authority {
  /** The certificate to trust, as PEM. */
  readonly caFile: string;
  /** Signs a certificate for hosts, such as `DNS:localhost` or `IP:127.0.0.1`; returns it with its key, both PEM. */
  sign(...hosts: string[]): Promise<{ certificate: string; key: string }>;
  /** Removes its files. */
  close(): Promise<void>;
}

const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

export async function makeAuthority(name: string): Promise<Authority> {
  const folder = await mkdtemp(join(tmpdir(), 'authority-'));
  const file = (part: string) => join(folder, part);
  const openssl = (...args: string[]) => runToEnd('openssl', args, { cwd: folder });
  const caFile = file('ca.crt');
  await openssl('req', '-x509', ...KEY, '-keyout', file('ca.key'), '-out', caFile, '-subj', `/CN=${name}`);
  let signed = 0;
  return {
    caFile,
    async sign(...hosts) {
      const of = (part: string) => file(`${signed}.${part}`);
      signed += 1;
      await writeFile(of('ext'), `subjectAltName=${hosts.join(',')}\n`);
      await openssl('req', ...KEY, '-keyout', of('key'), '-out', of('csr'), '-subj', '/CN=server');
      await openssl(
        ...['x509', '-req', '-in', of('csr'), '-CA', caFile, '-CAkey', file('ca.key'), '-CAcreateserial'],
        ...['-extfile', of('ext'), '-out', of('crt')],
      );
      return { certificate: await readFile(of('crt'), 'utf8'), key: await readFile(of('key'), 'utf8') };
    },
    close: () => rm(folder, { recursive: true, force: true }),
  };
}
