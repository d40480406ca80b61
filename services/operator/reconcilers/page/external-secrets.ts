import type { ExternalSpec } from '#cdk8s/api/external-page.ts';
import { CALLER_KEYS, callersSecret } from '#cdk8s/constructs/caller-access.ts';
import { metadataOf } from '#cdk8s/constructs/labels.ts';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import { names, type Platform, PORTS } from '#cdk8s/platform.ts';
import type { ViewPage } from '#contracts/pages.ts';
import { credentialOf } from '../../../auth/caller-credential.ts';
import type { StoredObject } from '../../runtime/kube.ts';
import { encoded, lackOf, type NeededSecret } from '../platform/secrets.ts';

/** The secrets of a page of somebody else, as they are in the cluster. */
export interface ExternalSecrets {
  /** What is wrong with those of its database; a sentence each. */
  readonly lack: readonly string[];
  /** Changes with each of them; null while one is missing, or cannot be read. */
  readonly revision: string | null;
  /** The secret by which the page reaches the source; null while the key it is made from cannot be read. */
  readonly caller: KubeObject | null;
}

type Look = (name: string) => Promise<StoredObject | 'forbidden' | null>;

/** @param look for a secret of the page's namespace; `forbidden` where the operator may not read it */
export async function externalSecrets(
  page: ViewPage,
  { database }: ExternalSpec,
  platform: Platform,
  look: Look,
): Promise<ExternalSecrets> {
  const needed: NeededSecret[] = [
    {
      name: database.existingSecret,
      keys: [database.key],
      namedBy: 'external.database.existingSecret',
    },
    ...(database.caSecret === undefined
      ? []
      : [{ name: database.caSecret, keys: [database.caKey], namedBy: 'external.database.caSecret' }]),
  ];
  const found = await Promise.all(needed.map(async (secret) => ({ secret, live: await look(secret.name) })));
  const lack = found.flatMap(({ secret, live }) =>
    live === 'forbidden' ? [] : [lackOf(secret, live) ?? []].flat(),
  );
  const [address] = found;
  const wrongPort = lack.length === 0 && wrongPortOf(address!.live, database, platform);
  const versions = found.map(({ live }) =>
    live === null || live === 'forbidden' ? null : live.metadata.resourceVersion,
  );
  return {
    lack: wrongPort ? [wrongPort] : lack,
    revision: versions.includes(null) ? null : versions.join('.'),
    caller: callerSecret(page, platform, await look(callersSecret(platform))),
  };
}

/** The network policies let nothing out to another port, which would look like a database that is away. */
function wrongPortOf(
  live: StoredObject | 'forbidden' | null,
  { existingSecret, key, port }: ExternalSpec['database'],
  { spec }: Platform,
): string | null {
  if (live === null || live === 'forbidden' || !spec.networkPolicies.enabled) return null;
  const text = textOf(live, key);
  // What is no address is told by whoever uses it, without showing it.
  if (text === null || !URL.canParse(text)) return null;
  const given = new URL(text).port;
  const actual = given === '' ? 5_432 : Number(given);
  if (actual === port) return null;
  return `the address in the secret ${existingSecret} leads to port ${actual}, and network policies let out to ${port} only; set spec.external.database.port to ${actual}`;
}

/** Made from the key that the source has now, so a rotation of that key reaches the page as well. */
function callerSecret(
  page: ViewPage,
  platform: Platform,
  callers: StoredObject | 'forbidden' | null,
): KubeObject | null {
  const key = callers === null || callers === 'forbidden' ? null : textOf(callers, CALLER_KEYS.now);
  if (key === null) return null;
  const content = {
    credential: credentialOf(key.trim(), page),
    url: `http://${names.source}.${platform.namespace}.svc:${PORTS.http}`,
  };
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: metadataOf(platform, names.caller(page), 'caller', page),
    type: 'Opaque',
    data: encoded(content),
  };
}

function textOf(secret: StoredObject, key: string): string | null {
  const encoded = ((secret['data'] ?? {}) as Readonly<Record<string, string>>)[key];
  return encoded === undefined ? null : Buffer.from(encoded, 'base64').toString('utf8');
}
