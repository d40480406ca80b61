import type { Caches } from '../../runtime/cached-kube.ts';
import type { Informer, Kind, StoredObject } from '../../runtime/kube.ts';
import { kindKey } from '../../runtime/objects.ts';
import { BUILT_IN, OF_OTHERS, OUR_PODS, OURS, PAGE_VIEW, POD, TOP_CLIENTS } from '../kinds.ts';
import type { InMemoryKube } from './in-memory-kube.ts';

/** The informers of the operator, which hear of nothing until `hear` is called. */
export class LaggingCaches implements Caches {
  readonly #kube: InMemoryKube;
  #heard = new Map<string, StoredObject>();

  constructor(kube: InMemoryKube) {
    this.#kube = kube;
  }

  hear(): void {
    this.#heard = new Map(
      [...this.#kube.objects.values()].map((object) => [
        `${kindKey(object)} ${object.metadata.name}`,
        structuredClone(object),
      ]),
    );
  }

  of(kind: Kind): { readonly informer: Informer; readonly labelSelector?: string | undefined } | null {
    const labelSelector = SELECTORS.get(kindKey(kind));
    if (!SELECTORS.has(kindKey(kind))) return null;
    const [label, value] = labelSelector?.split('=') ?? [];
    const follows = (object: StoredObject) =>
      kindKey(object) === kindKey(kind) && (!label || object.metadata.labels?.[label] === value);
    return {
      labelSelector,
      informer: {
        get: (_, name) => {
          const object = this.#heard.get(`${kindKey(kind)} ${name}`);
          return object && follows(object) ? object : undefined;
        },
        list: () => [...this.#heard.values()].filter(follows),
        staleBecause: () => null,
      },
    };
  }

  serves(kind: Kind): boolean {
    return this.#kube.served.has(kindKey(kind));
  }
}

const SELECTORS = new Map<string, string | undefined>([
  ...[TOP_CLIENTS, PAGE_VIEW].map((kind) => [kindKey(kind), undefined] as const),
  ...[...BUILT_IN, ...OF_OTHERS].map((kind) => [kindKey(kind), OURS] as const),
  [kindKey(POD), OUR_PODS],
]);
