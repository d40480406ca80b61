import { stringify } from 'yaml';
import { CALLERS } from '#contracts/callers.ts';
import { hasDemoIssuer } from './api/top-clients.ts';
import { build } from './build.ts';
import { CALLER_KEYS } from './constructs/caller-access.ts';
import { dashboards } from './constructs/dashboards.ts';
import { accounts } from './constructs/database-access.ts';
import { databaseServers, ownerSecret } from './constructs/database-servers.ts';
import { ISSUER_KEY } from './constructs/issuer.ts';
import type { KubeObject } from './kube-object.ts';
import { pageObjects, platformObjects } from './manifests.ts';
import { names, type Platform } from './platform.ts';
import type { Wanted } from './values.ts';

/** The first line of every generated file; a file without it was written by somebody else. */
export const MARK = '# Written by make manifests; what you change here is lost at the next run.\n';

/**
 * One file a group, name → text. The order of names is the order in which to apply them.
 * @param boards the dashboards, name → JSON
 */
export function manifestFiles(
  { platform, pages, dashboards: settings }: Wanted,
  boards: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const ours = platformObjects(platform);
  const theirs = pages.map((page) => ({ name: page.name, objects: pageObjects(platform, page) }));
  const groups: readonly (readonly [string, readonly KubeObject[]])[] = [
    ['10-ground', ours.ground],
    ...theirs.map(({ name, objects }) => [`11-ground-${name}`, objects.ground] as const),
    ['20-stores', ours.stores],
    ['30-migrations', ours.migrations],
    ...theirs.map(({ name, objects }) => [`31-migrations-${name}`, objects.migrations] as const),
    ['40-workloads', ours.workloads],
    ...theirs.map(({ name, objects }) => [`41-workloads-${name}`, objects.workloads] as const),
    ['50-seeding', ours.seeding],
    ['60-dashboards', build((scope) => dashboards(scope, platform, settings, boards))],
  ];
  return new Map(
    groups
      .filter(([, objects]) => objects.length > 0)
      .map(([name, objects]) => [
        `${name}.yaml`,
        `${MARK}${objects.map((object) => `---\n${stringify(object, { version: '1.1', lineWidth: 0, aliasDuplicateObjects: false })}`).join('')}`,
      ]),
  );
}

/**
 * How to create the secrets that these objects need and that must not be in a file; empty when there are none. The
 * operator creates them itself.
 */
export function missingSecrets(platform: Platform): string {
  const { namespace, spec } = platform;
  const commands = [
    ...(spec.postgres.mode === 'embedded' && !spec.postgres.embedded.existingSecret
      ? databaseServers(platform).map(
          (server) =>
            `kubectl -n ${namespace} create secret generic ${ownerSecret(platform, server)} ` +
            '--from-literal=username=topclients --from-literal=password="$(openssl rand -hex 24)"',
        )
      : []),
    ...(spec.postgres.mode === 'external'
      ? []
      : [
          `for user in ${accounts()
            .map(({ name }) => name)
            .join(' ')}; do kubectl -n ${namespace} create secret generic ` +
            `"${names.postgres}-$(echo "\${user#top_clients_}" | tr _ -)" --type=kubernetes.io/basic-auth ` +
            '--from-literal=username="$user" --from-literal=password="$(openssl rand -hex 24)"; done',
        ]),
    ...(hasDemoIssuer(spec)
      ? [
          `kubectl -n ${namespace} create secret generic ${names.issuer} --from-literal=${ISSUER_KEY}="$(${NEW_KEY})"`,
        ]
      : []),
  ];
  if (!spec.source.callers.existingSecret) {
    commands.push(
      `KEY=$(openssl rand -hex 32); kubectl -n ${namespace} create secret generic ${names.callers} --from-literal=${CALLER_KEYS.now}=$KEY ${CREDENTIALS}`,
    );
  }
  return commands.length === 0
    ? ''
    : `Before the first apply, make what must not be in a file:\n  ${commands.join('\n  ')}\n`;
}

/** Shell code: from `$KEY` it makes an argument with the credential of each caller. */
export const CREDENTIALS = `$(for C in ${CALLERS.join(' ')}; do printf ' --from-literal=%s=%s.%s' $C $C $(printf %s $C | openssl dgst -sha256 -hmac $KEY -r | cut -d' ' -f1); done)`;

const NEW_KEY = `node -p "JSON.stringify(crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }))"`;
