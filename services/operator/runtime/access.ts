import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Where the API server is, and how to show it who asks. */
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
   * Headers that sign a request in; they change while a process runs.
   * @param refused the ones given before were not accepted: look again rather than remember
   */
  headers(refused: boolean): Promise<Readonly<Record<string, string>>>;
}

/** How long a token is used before its file is read again; Kubernetes renews it long before it ends. */
const TOKEN_MS = 60_000;

/**
 * Access of a pod, by its service account. Read here rather than by the client library, which costs a pod 57 MB and
 * 0.6 s of start for what are three files.
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
      // A file that cannot be read for a moment, while it is swapped, leaves the token we have.
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
  // Only here: a pod has no use for it.
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
    // Commands and files named in a kubeconfig are cached and asked anew by the library.
    async headers() {
      const { headers = {}, auth } = await options();
      return auth ? { ...headers, authorization: `Basic ${Buffer.from(auth).toString('base64')}` } : headers;
    },
  };
}
