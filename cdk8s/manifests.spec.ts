import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { afterAll, describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { PAGES } from '#pages/index.ts';
import { readConfig, setting } from '#platform/config.ts';
import type { Role } from '#platform/role.ts';
import { PAGE_NAMES } from './api/page-view.ts';
import { PART_OF, selectorOf } from './constructs/labels.ts';
import type { KubeObject } from './kube-object.ts';
import { type Container, EXAMPLES, objectsOf, podOf } from './testing/platforms.ts';

const ROLES: Readonly<Record<string, () => Promise<{ role: Role }>>> = {
  'top-clients': () => import('../services/top-clients/main.ts'),
  'outbox-relay': () => import('../services/outbox-relay/main.ts'),
  projector: () => import('../services/projector/main.ts'),
  'page-server': () => import('../services/page-server/main.ts'),
  migrate: () => import('../services/migrate/main.ts'),
  'compare-views': () => import('../services/consistency/main.ts'),
  'watch-view': () => import('../services/consistency/watch-main.ts'),
  'drop-view': () => import('../services/migrate/drop-view.ts'),
  republish: () => import('../services/republish/main.ts'),
  issuer: () => import('../services/issuer/main.ts'),
  seed: () => import('../services/seed/main.ts'),
};

/** In place of the files that a pod is given with the authorities it shall trust. */
const folder = mkdtempSync(join(tmpdir(), 'manifests-'));
const caFile = join(folder, 'ca.crt');
writeFileSync(caFile, rootCertificates[0]!);
afterAll(() => rmSync(folder, { recursive: true }));

const idOf = ({ apiVersion, kind, metadata }: KubeObject) => `${apiVersion} ${kind} ${metadata.name}`;

test('the pages that can be deployed are those the image knows', () => {
  expect([...PAGE_NAMES].sort()).toEqual(Object.keys(PAGES).sort());
});

describe.each(Object.entries(EXAMPLES))('%s', (_, example) => {
  const wanted = example('shop');
  const objects = objectsOf(wanted);
  const pods = objects.flatMap((object) => {
    const pod = podOf(object);
    return pod ? [{ object, pod }] : [];
  });
  const containers = pods.flatMap(({ object, pod }) =>
    [...(pod.spec.initContainers ?? []), ...pod.spec.containers].map((container) => ({
      object,
      pod,
      container,
    })),
  );

  test('each object is there once, in its namespace, with the label that it is pruned by', () => {
    const ids = objects.map(idOf);
    expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([]);
    for (const { metadata } of objects) {
      expect(metadata.namespace).toBe('shop');
      expect(metadata.labels).toMatchObject({ 'app.kubernetes.io/managed-by': 'top-clients-operator' });
      for (const value of Object.values(metadata.labels!))
        expect(value).toMatch(/^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$/i);
    }
  });

  test('the same values give the same objects', () => {
    expect(objectsOf(example('shop'))).toEqual(objects);
  });

  test('each selector finds the pods of its own workload, and the policies find them all', () => {
    for (const { object, pod } of pods) {
      const { selector } = (object as unknown as { spec: { selector?: { matchLabels: unknown } } }).spec;
      if (selector) expect(pod.metadata.labels).toMatchObject(selector.matchLabels as object);
      const { 'app.kubernetes.io/component': component, 'app.kubernetes.io/instance': instance } =
        pod.metadata.labels;
      expect(pod.metadata.labels).toMatchObject({ ...PART_OF, ...selectorOf(component!, instance) });
    }
  });

  test('each account that a pod uses is there', () => {
    const accounts = objects
      .filter(({ kind }) => kind === 'ServiceAccount')
      .map(({ metadata }) => metadata.name);
    for (const { pod } of pods) expect(accounts).toContain(pod.spec.serviceAccountName);
  });

  test('each container mounts volumes that its pod has, and names each variable once', () => {
    for (const { object, pod, container } of containers) {
      const claims = (
        object as unknown as { spec: { volumeClaimTemplates?: { metadata: { name: string } }[] } }
      ).spec.volumeClaimTemplates;
      const volumes = [...(pod.spec.volumes ?? []), ...(claims ?? []).map(({ metadata }) => metadata)].map(
        ({ name }) => name,
      );
      for (const { name } of container.volumeMounts ?? []) expect(volumes).toContain(name);
      const variables = (container.env ?? []).map(({ name }) => name);
      expect(new Set(variables).size).toBe(variables.length);
    }
  });

  test('each role takes the settings that it is given, and misses none', async () => {
    let judged = 0;
    for (const { object, container } of containers) {
      const [name] = container.args ?? [];
      if (container.image !== wanted.platform.image) continue;
      expect(Object.keys(ROLES)).toContain(name);
      const { role } = await ROLES[name!]!();
      const settings = {
        ...role.settings,
        logLevel: setting('TC_LOG_LEVEL', 'level', z.string().optional()),
      };
      try {
        readConfig(`${idOf(object)}, ${container.name}`, settings, [], environmentOf(container));
      } catch (err) {
        throw new Error((err as Error).message);
      }
      judged++;
    }
    expect(judged).toBeGreaterThan(4);
  });
});

/** The environment as the kubelet makes it, with something likely for what stands in secrets. */
function environmentOf({ env = [], volumeMounts = [] }: Container): Record<string, string> {
  const made: Record<string, string> = {};
  for (const { name, value } of env) {
    if (name.endsWith('_CA_FILE')) {
      expect(volumeMounts.some(({ mountPath }) => value!.startsWith(`${mountPath}/`))).toBe(true);
      made[name] = caFile;
      continue;
    }
    made[name] =
      value?.replace(/\$\((\w+)\)/g, (_, other: string) => made[other] ?? `$(${other})`) ??
      (name.endsWith('_URL') ? 'postgresql://user:password@host:5432/name' : 'secret');
  }
  return made;
}
