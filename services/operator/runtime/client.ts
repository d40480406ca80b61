import type { KubeObject } from '#cdk8s/kube-object.ts';
import { OPERATOR } from '#cdk8s/own-names.ts';
import type { Api, ApiRequest } from './api.ts';
import { type Kind, type Kube, KubeError, type Ref, type StoredObject } from './kube.ts';
import { collectionPath, groupPath, objectPath } from './resources.ts';

/** How long an answer about served kinds is cached. */
const SERVES_MS = 60_000;
/** Objects in one answer; the rest come in further answers. */
export const PAGE_SIZE = 500;

/** The right to act; a `Term` of the election is one. */
export interface Fence {
  isHeld(): boolean;
  /** Aborts the calls in flight. */
  readonly lost: AbortSignal;
}

export interface KubeSettings {
  /** For each call. */
  readonly deadlineMs?: number;
  /** Checked right before each call: without a valid term nothing is sent, and KubeError `NotLeading` is thrown. */
  readonly fence?: Fence;
  /** A clock that never goes back, in ms. */
  readonly now?: () => number;
}

export function openKube(api: Api, settings: KubeSettings = {}): Kube {
  const { deadlineMs = 10_000, fence, now = () => performance.now() } = settings;
  const ask = async (request: ApiRequest) => {
    if (fence && !fence.isHeld()) {
      throw new KubeError(`${request.verb} ${request.about}: not the leader any more`, 0, 'NotLeading');
    }
    return api.call(request, deadlineMs, fence?.lost);
  };
  const call = (request: ApiRequest) => ask(request) as Promise<StoredObject>;
  const of = (ref: Ref) => ({
    path: objectPath(ref, ref.namespace, ref.name),
    about: `${ref.kind} ${ref.namespace === undefined ? '' : `${ref.namespace}/`}${ref.name}`,
  });
  const refOf = ({ apiVersion, kind, metadata: { namespace, name } }: KubeObject): Ref => ({
    apiVersion,
    kind,
    name,
    ...(namespace === undefined ? {} : { namespace }),
  });
  const manager = { fieldManager: OPERATOR };

  /** Raw JSON, which is also YAML: the client library's own serializer drops fields that its types do not know. */
  const serverSideApply = async (
    object: KubeObject,
    subresource: string,
    { dryRun = false, fieldManager = OPERATOR, force = true } = {},
  ) => {
    const { path, about } = of(refOf(object));
    return call({
      verb: 'apply',
      method: 'PATCH',
      path: path + subresource,
      query: { fieldManager, force: String(force), ...(dryRun ? { dryRun: 'All' } : {}) },
      body: { type: 'application/apply-patch+yaml', json: object },
      about,
    });
  };

  const served = new Map<
    string,
    { readonly askedAt: number; readonly kinds: Promise<ReadonlySet<string>> }
  >();
  const kindsOf = async (apiVersion: string): Promise<ReadonlySet<string>> => {
    const path = groupPath(apiVersion);
    const request = { verb: 'get', method: 'GET', path, about: `the kinds of ${apiVersion}` } as const;
    try {
      const answer = (await ask(request)) as { resources: readonly { kind: string }[] };
      return new Set(answer.resources.map(({ kind }) => kind));
    } catch (err) {
      if (err instanceof KubeError && err.code === 404) return new Set();
      throw err;
    }
  };

  return {
    async get(ref) {
      try {
        return await call({ verb: 'get', method: 'GET', ...of(ref) });
      } catch (err) {
        if (err instanceof KubeError && err.code === 404) return null;
        throw err;
      }
    },

    async list(kind, namespace, labelSelector, { fieldSelector } = {}) {
      const selectors = { labelSelector, fieldSelector };
      return (await listAll(api, kind, namespace, selectors, deadlineMs)).items;
    },

    apply: (object, options) => serverSideApply(object, '', options),

    applyStatus: (object) => serverSideApply(object, '/status'),

    async create(object) {
      const { about } = of(refOf(object));
      return call({
        verb: 'create',
        method: 'POST',
        path: collectionPath(object, object.metadata.namespace ?? null),
        query: manager,
        body: { type: 'application/json', json: object },
        about,
      });
    },

    async patch(ref, patch, subresource) {
      const { path, about } = of(ref);
      return call({
        verb: 'patch',
        method: 'PATCH',
        path: subresource === undefined ? path : `${path}/${subresource}`,
        query: manager,
        body: { type: 'application/merge-patch+json', json: patch },
        about,
      });
    },

    replace: async (object) =>
      call({
        verb: 'replace',
        method: 'PUT',
        ...of(refOf(object)),
        query: manager,
        body: { type: 'application/json', json: object },
      }),

    async delete(ref, options) {
      try {
        await call({
          verb: 'delete',
          method: 'DELETE',
          ...of(ref),
          body: {
            type: 'application/json',
            json: {
              apiVersion: 'v1',
              kind: 'DeleteOptions',
              // Set explicitly, because the default depends on the kind.
              propagationPolicy: 'Background',
              ...(options?.uid === undefined ? {} : { preconditions: { uid: options.uid } }),
            },
          },
        });
      } catch (err) {
        if (!(err instanceof KubeError)) throw err;
        if (err.code === 404) return;
        // A conflict may mean that another object has the name by now, so that ours is gone.
        if (err.code === 409 && options?.uid !== undefined) {
          if ((await this.get(ref))?.metadata.uid !== options.uid) return;
        }
        throw err;
      }
    },

    async serves({ apiVersion, kind }) {
      let known = served.get(apiVersion);
      if (known === undefined || now() - known.askedAt >= SERVES_MS) {
        const asked = { askedAt: now(), kinds: kindsOf(apiVersion) };
        known = asked;
        served.set(apiVersion, asked);
        // A failure is thrown to those who wait for it, but not cached.
        asked.kinds.catch(() => {
          if (served.get(apiVersion) === asked) served.delete(apiVersion);
        });
      }
      return (await known.kinds).has(kind);
    },
  };
}

export interface Selectors {
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
}

/** The whole collection at one version, however many answers that takes. */
export async function listAll(
  api: Api,
  kind: Kind,
  namespace: string | null,
  { labelSelector, fieldSelector }: Selectors,
  deadlineMs: number,
  signal?: AbortSignal,
): Promise<{ readonly items: StoredObject[]; readonly resourceVersion: string }> {
  const items: StoredObject[] = [];
  for (let next = ''; ; ) {
    const answer = (await api.call(
      {
        verb: 'list',
        method: 'GET',
        path: collectionPath(kind, namespace),
        query: {
          limit: String(PAGE_SIZE),
          ...(labelSelector === undefined ? {} : { labelSelector }),
          ...(fieldSelector === undefined ? {} : { fieldSelector }),
          ...(next === '' ? {} : { continue: next }),
        },
        about: `${kind.kind} of ${namespace ?? 'all namespaces'}`,
      },
      deadlineMs,
      signal,
    )) as {
      readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
      readonly items: readonly StoredObject[];
    };
    // Items of a list do not carry their kind.
    for (const item of answer.items) {
      items.push({ ...item, apiVersion: kind.apiVersion, kind: kind.kind });
    }
    next = answer.metadata.continue ?? '';
    if (next === '') return { items, resourceVersion: answer.metadata.resourceVersion };
  }
}
