import { KubeConfig } from '@kubernetes/client-node';
import type { Access } from './access.ts';

/** What runs commands, or asks others, for its credentials is left to the client library. */
export async function libraryAccess(file: string): Promise<Access> {
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
