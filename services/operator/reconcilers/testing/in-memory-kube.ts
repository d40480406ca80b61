import { randomUUID } from 'node:crypto';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import { OPERATOR } from '#cdk8s/own-names.ts';
import { type Kind, type Kube, KubeError, type Ref, type StoredObject } from '../../runtime/kube.ts';
import { kindKey, objectKey, refOf } from '../../runtime/objects.ts';
import { OF_OTHERS } from '../kinds.ts';

type Mutable = { -readonly [K in keyof StoredObject]: StoredObject[K] };

const ownersOfReplicas = (managers: readonly string[]) =>
  managers.map((manager) => ({ manager, fieldsV1: { 'f:spec': { 'f:replicas': {} } } }));
const replicasOwners = ({ metadata }: StoredObject): readonly string[] =>
  ((metadata as { managedFields?: readonly { manager: string }[] }).managedFields ?? []).map(
    ({ manager }) => manager,
  );

/** An API server as far as the operator's specs need one: versions, generations, labels, owners. One namespace. */
export class InMemoryKube implements Kube {
  readonly objects = new Map<string, StoredObject>();
  /** Every write, as `apply Deployment top-clients`. */
  readonly writes: string[] = [];
  /** Kinds of other operators that are served. */
  readonly served = new Set<string>();
  /** Called before each write; throws the error with which the API server would refuse it. */
  refuse: (verb: string, object: Ref) => void = () => {};
  #version = 0;

  constructor(served: readonly Kind[] = []) {
    for (const kind of served) this.served.add(kindKey(kind));
  }

  find(kind: string, name: string): StoredObject | undefined {
    return [...this.objects.values()].find((object) => object.kind === kind && object.metadata.name === name);
  }
  names(kind: string): string[] {
    return [...this.objects.values()]
      .filter((object) => object.kind === kind)
      .map(({ metadata }) => metadata.name);
  }
  /** Writes as a controller or a person would, not through the operator. */
  put(object: KubeObject, status?: unknown): StoredObject {
    return this.#store(object, status);
  }
  /** As `kubectl scale`, or an autoscaler by its own name. */
  scale(deployment: string, replicas: number, by = 'kubectl'): StoredObject {
    const live = this.find('Deployment', deployment)!;
    const metadata = { ...live.metadata, managedFields: ownersOfReplicas([by]) };
    return this.#store({ ...live, metadata, spec: { ...live.spec, replicas } });
  }
  remove(kind: string, name: string): void {
    for (const [key, object] of this.objects) {
      if (object.kind === kind && object.metadata.name === name) this.objects.delete(key);
    }
  }

  async get(ref: Ref): Promise<StoredObject | null> {
    return structuredClone(this.objects.get(objectKey(ref)) ?? null);
  }
  async list(
    { apiVersion, kind }: Kind,
    _namespace: string | null,
    selector?: string,
    { fieldSelector }: { readonly fieldSelector?: string } = {},
  ): Promise<StoredObject[]> {
    const [label, value] = selector?.split('=') ?? [];
    const about = fieldSelector && /involvedObject\.name=([^,]+)/.exec(fieldSelector)?.[1];
    return [...this.objects.values()]
      .filter((object) => object.apiVersion === apiVersion && object.kind === kind)
      .filter(({ metadata }) => label === undefined || metadata.labels?.[label] === value)
      .filter(
        (object) => !about || (object['involvedObject'] as { name: string } | undefined)?.name === about,
      )
      .map((object) => structuredClone(object));
  }
  async apply(
    object: KubeObject,
    {
      fieldManager = OPERATOR,
      force = true,
    }: { readonly fieldManager?: string; readonly force?: boolean } = {},
  ): Promise<StoredObject> {
    this.#write('apply', refOf(object));
    if (object.kind === 'Deployment') return this.#applyDeployment(object, fieldManager, force);
    if (OF_OTHERS.map(kindKey).includes(kindKey(object)) && !this.served.has(kindKey(object))) {
      throw new KubeError(`the server could not find the requested resource`, 404, 'NotFound');
    }
    const { resourceVersion } = object.metadata as { resourceVersion?: string };
    if (
      resourceVersion &&
      resourceVersion !== this.objects.get(objectKey(refOf(object)))?.metadata.resourceVersion
    )
      throw new KubeError('the object has been modified', 409, 'Conflict');
    return this.#store(object);
  }
  async applyStatus(object: KubeObject): Promise<StoredObject> {
    this.#write('status', refOf(object));
    const live = this.objects.get(objectKey(refOf(object)));
    const { resourceVersion } = object.metadata as { resourceVersion?: string };
    if (!live || (resourceVersion && resourceVersion !== live.metadata.resourceVersion)) {
      throw new KubeError('the object has been modified', 409, 'Conflict');
    }
    return this.#store(live, object['status']);
  }
  async create(object: KubeObject): Promise<StoredObject> {
    this.#write('create', refOf(object));
    if (this.objects.has(objectKey(refOf(object))))
      throw new KubeError('already exists', 409, 'AlreadyExists');
    return this.#store(object);
  }
  async patch(ref: Ref, patch: unknown, subresource = ''): Promise<StoredObject> {
    this.#write(`patch ${subresource}`.trim(), ref);
    const live = this.objects.get(objectKey(ref))!;
    const { spec, metadata } = patch as { readonly spec?: object; readonly metadata?: object };
    const changed = {
      ...live,
      metadata: { ...live.metadata, ...metadata },
      spec: { ...live.spec, ...spec },
    };
    const { deletionTimestamp, finalizers = [] } = changed.metadata;
    if (deletionTimestamp && finalizers.length === 0) this.objects.delete(objectKey(ref));
    return deletionTimestamp && finalizers.length === 0 ? changed : this.#store(changed);
  }
  async replace(object: StoredObject): Promise<StoredObject> {
    this.#write('replace', refOf(object));
    return this.#store(object);
  }
  async delete(ref: Ref, options?: { readonly uid?: string }): Promise<void> {
    this.#write('delete', ref);
    const live = this.objects.get(objectKey(ref));
    if (live && (!options?.uid || options.uid === live.metadata.uid)) this.objects.delete(objectKey(ref));
  }
  async serves(kind: Kind): Promise<boolean> {
    return this.served.has(kindKey(kind));
  }

  /** Of what several managers of fields may own, only `replicas` is kept apart. */
  #applyDeployment(object: KubeObject, manager: string, force: boolean): StoredObject {
    const live = this.objects.get(objectKey(refOf(object)));
    const { replicas } = (object['spec'] ?? {}) as { readonly replicas?: number };
    const owners = new Set(live ? replicasOwners(live) : []);
    const isOther = replicas !== undefined && live !== undefined && live.spec.replicas !== replicas;
    if (isOther && !force && owners.size > 0) throw new KubeError('conflict', 409, 'Conflict');
    if (isOther) owners.clear();
    if (replicas === undefined) owners.delete(manager);
    else owners.add(manager);
    // What no manager owns any more gets the default.
    const kept = owners.size > 0 ? { replicas: replicas ?? live?.spec.replicas } : {};
    const base = manager === OPERATOR ? object : (live ?? object);
    const { replicas: _, ...spec } = base['spec'] as { readonly replicas?: number };
    return this.#store({
      ...base,
      // An annotation that its manager stops applying is removed.
      metadata: {
        annotations: {},
        ...base.metadata,
        managedFields: ownersOfReplicas([...owners]),
      } as KubeObject['metadata'],
      spec: { ...spec, ...kept },
    });
  }

  #write(verb: string, ref: Ref): void {
    this.refuse(verb, ref);
    this.writes.push(`${verb} ${ref.kind} ${ref.name}`);
  }

  #store(object: KubeObject, status?: unknown): StoredObject {
    const key = objectKey(refOf(object));
    const before = this.objects.get(key);
    const { status: _, stringData, ...wanted } = structuredClone(object) as Mutable & { stringData?: object };
    if (stringData) {
      const encoded = Object.entries(stringData).map(([name, text]) => [
        name,
        Buffer.from(text).toString('base64'),
      ]);
      Object.assign(wanted, { data: Object.fromEntries(encoded) });
    }
    const changed = JSON.stringify(before?.spec) !== JSON.stringify(wanted.spec);
    const stored: StoredObject = {
      ...wanted,
      metadata: {
        ...before?.metadata,
        ...wanted.metadata,
        uid: before?.metadata.uid ?? randomUUID(),
        creationTimestamp: before?.metadata.creationTimestamp ?? '2026-11-23T12:00:00Z',
        generation: (before?.metadata.generation ?? 0) + (changed ? 1 : 0),
        resourceVersion: String(++this.#version),
      },
      status: structuredClone(status ?? before?.status),
    };
    this.objects.set(key, stored);
    return structuredClone(stored);
  }
}
