import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { PAGE_NAMES } from '#contracts/pages.ts';
import { PAGES } from '#pages/index.ts';
import { readConfig, setting } from '#platform/config.ts';
import { ROLES } from '../services/roles.ts';
import { PART_OF, selectorOf } from './constructs/labels.ts';
import type { KubeObject } from './kube-object.ts';
import { compareJob, dropAllJob, dropJob, pageObjects } from './manifests.ts';
import { type Container, EXAMPLES, objectsOf, pageOf, platformOf, podOf } from './testing/platforms.ts';

/** In place of the files that a pod is given with the authorities it shall trust. */
const folder = mkdtempSync(join(tmpdir(), 'manifests-'));
const caFile = join(folder, 'ca.crt');
writeFileSync(caFile, rootCertificates[0]!);
afterAll(() => rmSync(folder, { recursive: true }));

const idOf = ({ apiVersion, kind, metadata }: KubeObject) => `${apiVersion} ${kind} ${metadata.name}`;

test('the pages that can be deployed are those the image knows', () => {
  expect([...PAGE_NAMES].sort()).toEqual(Object.keys(PAGES).sort());
});

const EXTERNAL = { database: { existingSecret: 'theirs' } };
const LONGEST_NAME = `a${'-b'.repeat(9)}`;
test.each([...PAGE_NAMES, LONGEST_NAME])(
  'no view of the %s page has a name or a label that is too long',
  (name) => {
    const platform = platformOf();
    const attempt = Math.floor(Date.now() / 1_000);
    for (const delivery of ['asynchronous', 'hybrid'] as const) {
      const view = { delivery, version: 1_000_000 };
      const shown = { ...view, since: '2026-11-29T10:00:00Z' };
      const spec = {
        delivery,
        view: { version: view.version },
        ...(name === LONGEST_NAME ? { external: EXTERNAL } : {}),
      };
      const page = { ...pageOf(name, spec), shown };
      const objects = [
        ...Object.values(pageObjects(platform, page)).flat(),
        compareJob(platform, page, view, attempt),
        dropJob(platform, page, view, { delivery: 'off' }),
        dropAllJob(platform, page),
      ];
      const labels = objects.flatMap((object) => [
        object.metadata.labels ?? {},
        podOf(object)?.metadata.labels ?? {},
      ]);
      expect(objects.map((object) => object.metadata.name).filter((one) => one.length > 63)).toEqual([]);
      expect(labels.flatMap((each) => Object.values<string>(each)).filter((one) => one.length > 63)).toEqual(
        [],
      );
    }
  },
);

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

describe('where there is no IPv4, or both', () => {
  /** As 10.0.0.0/8; a version has three numbers. */
  const IPV4 = /(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?:\/\d{1,2})?(?![\d.])/g;
  type Peers = readonly { readonly ipBlock?: { readonly cidr: string } }[];
  const isIPv6 = (cidr: string) => cidr.includes(':');

  test('the look for addresses finds some', () => {
    expect('listen 0.0.0.0, 10.0.0.0/8 and 127.0.0.1; version 4.3.1'.match(IPV4)).toEqual([
      '0.0.0.0',
      '10.0.0.0/8',
      '127.0.0.1',
    ]);
  });

  describe.each(Object.entries(EXAMPLES))('%s', (_, example) => {
    const objects = objectsOf(example('shop'));

    test('no object holds an address of IPv4, but where one of IPv6 stands beside it', () => {
      const found = objects.flatMap((object) => {
        const text = JSON.stringify(object, (key, value) => {
          const blocks = Array.isArray(value) ? (value as Peers).flatMap(({ ipBlock }) => ipBlock ?? []) : [];
          const both = blocks.some(({ cidr }) => isIPv6(cidr)) && blocks.some(({ cidr }) => !isIPv6(cidr));
          return both
            ? (value as Peers).filter(({ ipBlock }) => !ipBlock)
            : key === 'description'
              ? ''
              : value;
        });
        return (text.match(IPV4) ?? []).map((address) => `${idOf(object)}: ${address}`);
      });
      expect(found).toEqual([]);
    });

    test('each address that is served is one of every family the cluster has', () => {
      const policies = objects
        .filter(({ kind }) => kind === 'Service')
        .map(({ metadata, spec }) => [metadata.name, (spec as { ipFamilyPolicy?: string }).ipFamilyPolicy]);
      expect(policies).toEqual(policies.map(([name]) => [name, 'PreferDualStack']));
      for (const kafka of objects.filter(({ kind }) => kind === 'Kafka')) {
        expect(kafka['spec']).toMatchObject({
          kafka: {
            template: {
              bootstrapService: { ipFamilyPolicy: 'PreferDualStack' },
              brokersService: { ipFamilyPolicy: 'PreferDualStack' },
            },
          },
        });
      }
    });
  });

  test('nor does a template or an example of the chart', () => {
    const chart = new URL('../charts/top-clients/', import.meta.url);
    const files = readdirSync(chart, { recursive: true, withFileTypes: true })
      .filter((file) => file.isFile() && /(templates|examples)/.test(file.parentPath))
      .map((file) => join(file.parentPath, file.name));
    expect(files.length).toBeGreaterThan(15);
    const found = [...files, fileURLToPath(new URL('values.yaml', chart))].flatMap((file) =>
      (readFileSync(file, 'utf8').match(IPV4) ?? []).map((address) => `${file}: ${address}`),
    );
    expect(found).toEqual([]);
  });
});
