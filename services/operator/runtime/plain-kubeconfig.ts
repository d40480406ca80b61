import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import type { Access } from './access.ts';

type Fields = Readonly<Record<string, unknown>>;
interface Kubeconfig {
  readonly 'current-context'?: string;
  readonly contexts?: readonly { readonly name: string; readonly context: Fields }[];
  readonly clusters?: readonly { readonly name: string; readonly cluster: Fields }[];
  readonly users?: readonly { readonly name: string; readonly user?: Fields | null }[];
}

const OF_CLUSTER = ['server', 'certificate-authority', 'insecure-skip-tls-verify', 'tls-server-name'];
const OF_USER = ['token', 'client-certificate', 'client-key'];

/**
 * Access by a kubeconfig file whose current context has all it needs in itself or in files: a certificate, a token, or
 * neither. It is read here, since the client library takes 0.6 s and 57 MB.
 * @returns null when the context needs anything else
 * @throws Error when the file, or one that it names, cannot be read
 */
export async function plainAccess(file: string): Promise<Access | null> {
  const config = (parse(await readFile(file, 'utf8')) ?? {}) as Kubeconfig;
  const named = <T extends { readonly name: string }>(all: readonly T[] | undefined, name: unknown) =>
    all?.find((one) => one.name === name);
  const context = named(config.contexts, config['current-context'])?.context;
  const cluster = named(config.clusters, context?.['cluster'])?.cluster;
  const user = named(config.users, context?.['user'])?.user ?? {};
  if (!cluster || !has(cluster, OF_CLUSTER) || !has(user, OF_USER)) return null;

  const material = async (of: Fields, name: string): Promise<Buffer | undefined> => {
    const data = of[`${name}-data`];
    if (data !== undefined) return Buffer.from(String(data), 'base64');
    const path = of[name];
    return path === undefined ? undefined : readFile(resolve(dirname(file), String(path)));
  };
  const [ca, cert, key] = await Promise.all([
    material(cluster, 'certificate-authority'),
    material(user, 'client-certificate'),
    material(user, 'client-key'),
  ]);
  const servername = cluster['tls-server-name'];
  const { token } = user;
  return {
    server: new URL(String(cluster['server'])),
    tls: {
      ...(ca ? { ca } : {}),
      ...(cert ? { cert } : {}),
      ...(key ? { key } : {}),
      ...(servername ? { servername: String(servername) } : {}),
      ...(cluster['insecure-skip-tls-verify'] === true ? { rejectUnauthorized: false } : {}),
    },
    headers: async () => (token === undefined ? {} : { Authorization: `Bearer ${String(token)}` }),
  };
}

/** Whether there is nothing but these, each as a value, a file, or `-data`. */
const has = (fields: Fields, known: readonly string[]): boolean =>
  Object.keys(fields).every((field) => known.includes(field.replace(/-data$/, '')));
