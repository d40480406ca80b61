/** Every object that we build, as a real API server sees it. Nothing runs here: no image is needed. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import { FOREIGN_KINDS } from '#cdk8s/testing/foreign-kinds.ts';
import { EXAMPLES, objectsOf, type Pod, podOf } from '#cdk8s/testing/platforms.ts';
import { run } from '../support/run.ts';
import { Cluster } from './cluster.ts';

const NAMESPACE = `manifests-${process.pid}`;
const cluster = new Cluster(NAMESPACE);
const DEADLINE_MS = 120_000;

const listOf = (items: readonly unknown[]) => JSON.stringify({ apiVersion: 'v1', kind: 'List', items });
/** What the API server says of objects, errors and warnings alike; nothing when it takes them all as they are. */
const said = async (verb: readonly string[], objects: readonly unknown[]): Promise<string> => {
  const { code, stderr } = await run(
    'kubectl',
    ['--namespace', NAMESPACE, ...verb, '--dry-run=server', '--filename', '-'],
    { input: listOf(objects), timeoutMs: DEADLINE_MS },
  );
  return code === 0 ? stderr : stderr || `kubectl ended with ${code}`;
};
const apply = ['apply', '--server-side', '--validate=strict'];

/** The pods of workloads and Jobs, each different one once: only a pod itself is judged by Pod Security. */
function podsOf(objects: readonly KubeObject[]): object[] {
  const different = new Map<string, object>();
  for (const object of objects) {
    const template = podOf(object);
    if (!template) continue;
    // The class is the cluster's own business, as the secrets are that a pod waits for.
    const { priorityClassName: _, ...rest } = template.spec as Pod['spec'] & { priorityClassName?: string };
    const spec = { ...rest, volumes: [...(template.spec.volumes ?? []), ...claimsOf(object)] };
    different.set(JSON.stringify(spec), spec);
  }
  return [...different.values()].map((spec, i) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: `pod-${i}`, namespace: NAMESPACE },
    spec,
  }));
}
/** What a StatefulSet would add to its pods. */
const claimsOf = (object: KubeObject) =>
  (
    (object as { spec?: { volumeClaimTemplates?: { metadata: { name: string } }[] } }).spec
      ?.volumeClaimTemplates ?? []
  ).map(({ metadata: { name } }) => ({ name, persistentVolumeClaim: { claimName: name } }));

/** What this test brought to the cluster and takes away again. */
let installed: KubeObject[] = [];

beforeAll(async () => {
  await run('kubectl', ['create', '--filename', '-'], {
    input: JSON.stringify({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: {
        name: NAMESPACE,
        labels: {
          'pod-security.kubernetes.io/enforce': 'restricted',
          'pod-security.kubernetes.io/warn': 'restricted',
        },
      },
    }),
  });
  for (const definition of FOREIGN_KINDS) {
    const { code } = await run('kubectl', ['create', '--filename', '-'], {
      input: JSON.stringify(definition),
    });
    if (code === 0) installed.push(definition);
  }
  const names = FOREIGN_KINDS.map(({ metadata }) => `customresourcedefinition/${metadata.name}`);
  await cluster.kubectl(['wait', '--for=condition=Established', '--timeout=30s', ...names]);
  // A pod is only let in with an account that is there.
  const accounts = Object.values(EXAMPLES)
    .flatMap((example) => objectsOf(example(NAMESPACE)))
    .filter(({ kind }) => kind === 'ServiceAccount');
  await cluster.kubectl(['apply', '--server-side', '--filename', '-'], { input: listOf(accounts) });
}, DEADLINE_MS);

afterAll(async () => {
  const names = installed.map(({ metadata }) => `customresourcedefinition/${metadata.name}`);
  installed = [];
  if (names.length > 0) await run('kubectl', ['delete', '--wait=false', ...names]);
  await run('kubectl', ['delete', 'namespace', NAMESPACE, '--ignore-not-found', '--wait=false']);
}, DEADLINE_MS);

describe.each(Object.entries(EXAMPLES))('%s', (_, example) => {
  test(
    'is taken by the API server without an error or a warning',
    async () => {
      expect(await said(apply, objectsOf(example(NAMESPACE)))).toBe('');
    },
    DEADLINE_MS,
  );

  test(
    'makes pods that the restricted profile lets in',
    async () => {
      const pods = podsOf(objectsOf(example(NAMESPACE)));
      expect(pods.length).toBeGreaterThan(5);
      expect(await said(['create'], pods)).toBe('');
    },
    DEADLINE_MS,
  );
});

describe('the judges judge', () => {
  const objects = objectsOf(EXAMPLES['a demo']!(NAMESPACE));

  test('a member that the API does not know is refused', async () => {
    const [first] = objects.filter(({ kind }) => kind === 'Deployment');
    const wrong = { ...first, spec: { ...(first as { spec?: object }).spec, replica: 2 } };
    expect(await said(apply, [wrong])).toContain('unknown field "replica"');
  });

  test('a pod that asks for more than the restricted profile gives is refused', async () => {
    const [pod] = podsOf(objects) as { spec: object }[];
    const wrong = { ...pod, spec: { ...pod!.spec, hostNetwork: true } };
    expect(await said(['create'], [wrong])).toContain('violates PodSecurity "restricted');
  });
});
