import { beforeEach, expect, test } from '@jest/globals';
import { customResourceDefinitions } from '#cdk8s/api/crd.ts';
import { DEFINITIONS_ANNOTATION } from '#cdk8s/api/definitions.ts';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import { silentLog } from '#platform/log.ts';
import { KubeError } from '../../runtime/kube.ts';
import { InMemoryKube } from '../testing/in-memory-kube.ts';
import { bringDefinitions } from './definitions.ts';

/** Serves a definition as soon as it is there. */
class Cluster extends InMemoryKube {
  override async apply(object: KubeObject) {
    const stored = await super.apply(object);
    return this.put(stored, { conditions: [{ type: 'Established', status: 'True' }] });
  }
  /** Which version's definitions are installed: that of each kind, by what its schema says. */
  installed(): string[] {
    return this.names('CustomResourceDefinition').map(
      (name) =>
        this.find('CustomResourceDefinition', name)?.spec.versions[0].schema.openAPIV3Schema.description,
    );
  }
}

/** The definitions of a version; 0: of one that did not count them yet. */
const ofVersion = (generation: number): KubeObject[] =>
  customResourceDefinitions(generation).map((definition) => {
    const { metadata } = definition;
    const { [DEFINITIONS_ANNOTATION]: _, ...others } = metadata.annotations!;
    const spec = structuredClone(definition['spec']) as {
      versions: { schema: { openAPIV3Schema: { description: string } } }[];
    };
    spec.versions[0]!.schema.openAPIV3Schema.description = `version ${generation}`;
    return {
      ...definition,
      spec,
      ...(generation === 0 ? { metadata: { ...metadata, annotations: others } } : {}),
    };
  });

let cluster: Cluster;
const start = (generation: number, again = false) =>
  bringDefinitions(cluster, new AbortController().signal, silentLog, {
    definitions: ofVersion(generation),
    again,
  });
/** As an operator that did not count them, and Helm, do: whatever is there. */
const startOld = async () => {
  for (const definition of ofVersion(0)) await cluster.apply(definition);
};
beforeEach(() => {
  cluster = new Cluster();
});

test.each([[[1, 2, 3]], [[3, 2, 1]], [[2, 3, 1]], [[3, 1, 2]]])(
  'of operators of three versions the latest has its definitions, started in the order %j',
  async (order) => {
    await startOld();
    for (const version of order) await start(version);
    expect(cluster.installed()).toEqual(['version 3', 'version 3']);
    expect(await start(2)).toEqual({ state: 'newer', installed: 3, ours: 2 });
    expect(await start(3)).toEqual({ state: 'current' });
  },
);

test('what an operator that knows no better has set back is brought again at the next look', async () => {
  await start(3);
  await startOld();
  expect(await start(2, true)).toEqual({ state: 'current' });
  expect(await start(3, true)).toEqual({ state: 'current' });
  expect(cluster.installed()).toEqual(['version 3', 'version 3']);
  cluster.writes.length = 0;
  expect(await start(2, true)).toMatchObject({ state: 'newer' });
  expect(await start(3, true)).toEqual({ state: 'current' });
  expect(cluster.writes).toEqual([]);
});

test('a later version that comes between look and write stays', async () => {
  await start(1);
  let between = true;
  cluster.refuse = (verb, { name }) => {
    if (!between || verb !== 'apply') return;
    between = false;
    const [later] = ofVersion(3).filter(({ metadata }) => metadata.name === name);
    cluster.put(later!, { conditions: [{ type: 'Established', status: 'True' }] });
  };
  expect(await start(2)).toEqual({ state: 'newer', installed: 3, ours: 2 });
  expect(cluster.installed()).toEqual(['version 3', 'version 2']);
});

test('without the right to bring them it goes on, and says so', async () => {
  cluster.refuse = () => {
    throw new KubeError('not yours', 403, 'Forbidden');
  };
  expect(await start(1)).toEqual({ state: 'forbidden', because: 'not yours' });
});
