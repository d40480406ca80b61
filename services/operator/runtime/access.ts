import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Where the API server is, and how to authenticate to it. */
export interface Access {
  readonly server: URL;
  readonly tls: {
    readonly ca?: Buffer | string;
    readonly cert?: Buffer | string;
    readonly key?: Buffer | string;
    readonly servername?: string;
    readonly rejectUnauthorized?: boolean;
  };
  /**
   * Headers that authenticate a request; they change while a process runs.
   * @param refused the headers given before were not accepted: read them again rather than use the cached ones
   */
  headers(refused: boolean): Promise<Readonly<Record<string, string>>>;
}

/** How long a token is used before its file is read again; Kubernetes renews it long before it expires. */
const TOKEN_MS = 60_000;

/**
 * Access of a pod, by its service account. Three files are read here instead of by the client library, which costs a
 * pod 57 MB and 0.6 s of start.
 * @throws Error naming what is missing when this is no pod, or one without a service account token
 */
export async function serviceAccountAccess(
  env: Readonly<Record<string, string | undefined>>,
  folder = '/var/run/secrets/kubernetes.io/serviceaccount',
): Promise<Access> {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port = '443' } = env;
  if (!host) {
    throw new Error('KUBERNETES_SERVICE_HOST is not set: this is no pod; name a kubeconfig file instead');
  }
  const tokenFile = join(folder, 'token');
  let token = '';
  let readAt = Number.NEGATIVE_INFINITY;
  const read = async () => {
    token = (await readFile(tokenFile, 'utf8')).trim();
    readAt = performance.now();
  };
  try {
    await read();
  } catch (cause) {
    throw new Error(
      `cannot read ${tokenFile}: the pod needs a service account, and automountServiceAccountToken: true`,
      { cause },
    );
  }
  return {
    server: new URL(`https://${host.includes(':') ? `[${host}]` : host}:${port}`),
    tls: { ca: await readFile(join(folder, 'ca.crt')) },
    async headers(refused) {
      // The file may be unreadable for a moment while it is swapped: the old token is used then.
      if (refused || performance.now() - readAt > TOKEN_MS) await read().catch(() => {});
      return { authorization: `Bearer ${token}` };
    },
  };
}

/**
 * Access by the current context of a kubeconfig file.
 * @throws Error when the file cannot be read or names no cluster
 */
export async function kubeconfigAccess(file: string): Promise<Access> {
  const { plainAccess } = await import('./plain-kubeconfig.ts');
  return (await plainAccess(file)) ?? libraryAccess(file);
}

/** What runs commands, or asks others, for its credentials is left to the client library. */
async function libraryAccess(file: string): Promise<Access> {
  // Imported here only: a pod does not need it.
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  config.loadFromFile(file);
  const cluster = config.getCurrentCluster();
  if (!cluster) throw new Error(`${file} has no cluster in its current context; set current-context`);
  type Options = Parameters<typeof config.applyToHTTPSOptions>[0] & {
    headers?: Record<string, string>;
    auth?: string;
  };
  const options = async () => {
    const found = {} as Options;
    await config.applyToHTTPSOptions(found);
    return found;
  };
  const { ca, cert, key, servername, rejectUnauthorized } = (await options()) as Access['tls'];
  return {
    server: new URL(cluster.server),
    tls: {
      ...(ca ? { ca } : {}),
      ...(cert ? { cert } : {}),
      ...(key ? { key } : {}),
      ...(servername ? { servername } : {}),
      ...(rejectUnauthorized === false ? { rejectUnauthorized } : {}),
    },
    // The library runs commands and reads files named in a kubeconfig again, and caches them.
    async headers() {
      const { headers = {}, auth } = await options();
      return auth ? { ...headers, authorization: `Basic ${Buffer.from(auth).toString('base64')}` } : headers;
    },
  };
}
