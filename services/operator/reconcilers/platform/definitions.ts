import { customResourceDefinitions } from '#cdk8s/api/crd.ts';
import { DEFINITIONS_ANNOTATION } from '#cdk8s/api/definitions.ts';
import type { KubeObject } from '#cdk8s/kube-object.ts';
import { Backoff } from '#platform/backoff.ts';
import { pause } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import { type ConditionValue, no, yes } from '../../runtime/conditions.ts';
import { isForbidden, type Kube, type StoredObject } from '../../runtime/kube.ts';
import { refOf } from '../../runtime/objects.ts';

// Helm's own field manager name: Helm applies `crds/` at every install, and fails when another manager owns the fields.
const FIELD_MANAGER = 'helm';

/** How the definitions in the cluster are, against those of this version. */
export type DefinitionsState =
  | { readonly state: 'current' }
  /** An operator of a later version brought them, in whatever namespace. */
  | { readonly state: 'newer'; readonly installed: number; readonly ours: number }
  | { readonly state: 'forbidden'; readonly because: string };

/** Of a definition that says nothing, as those before the first that was counted: 0. */
const generationOf = ({ metadata }: KubeObject): number =>
  Number(metadata.annotations?.[DEFINITIONS_ANNOTATION] ?? 0) || 0;

/**
 * Applies this version of our two CRDs unless a later one is there, and waits until they are served: Helm installs what
 * is in `crds/` and never upgrades it. They are the whole cluster's, and fields that a definition lacks are lost from
 * objects that are written under it. Without the right to change CRDs, somebody has to update them by hand.
 * @param again whether they have been brought before, and are only looked at: what is of our generation is left
 */
export async function bringDefinitions(
  kube: Pick<Kube, 'apply' | 'get'>,
  signal: AbortSignal,
  log: Log,
  { again = false, definitions = customResourceDefinitions() } = {},
): Promise<DefinitionsState> {
  let worst: DefinitionsState = { state: 'current' };
  for (const definition of definitions) {
    const backoff = new Backoff({ firstMs: 250, longestMs: 10_000 });
    const definedAs = definition.metadata.name;
    const ours = generationOf(definition);
    while (!signal.aborted) {
      try {
        const live = await kube.get(refOf(definition));
        const installed = live ? generationOf(live) : null;
        if (installed !== null && installed > ours) {
          log.warn({ definedAs, installed, ours }, 'a later version has brought this definition; it is left');
          worst = { state: 'newer', installed, ours };
          break;
        }
        if (again && installed === ours && isServed(live)) break;
        if (again)
          log.warn({ definedAs, installed, ours }, 'somebody has set a definition back; bringing ours');
        // Against what was read: a later version that comes in between stays.
        const { resourceVersion } = live?.metadata ?? {};
        const metadata = { ...definition.metadata, ...(resourceVersion ? { resourceVersion } : {}) };
        await kube.apply({ ...definition, metadata }, { fieldManager: FIELD_MANAGER });
        if (isServed(await kube.get(refOf(definition)))) break;
      } catch (err) {
        if (isForbidden(err)) {
          log.warn(
            { definedAs, because: err.message },
            'may not bring a definition up to date; do it by hand',
          );
          worst = { state: 'forbidden', because: err.message };
          break;
        }
        log.warn({ err, definedAs }, 'could not bring a definition up to date; trying again');
      }
      await pause(backoff.next(), signal);
    }
  }
  return worst;
}

const isServed = (live: StoredObject | null): boolean =>
  (live?.status?.conditions as { type: string; status: string }[] | undefined)?.some(
    ({ type, status }) => type === 'Established' && status === 'True',
  ) === true;

/** The condition DefinitionsCurrent. @param unknown fields of the spec that this version does not know */
export function definitionsCondition(
  definitions: DefinitionsState,
  unknown: readonly string[],
): ConditionValue {
  const ignored =
    unknown.length === 0 ? '' : `; this operator does not know ${unknown.join(', ')}, which has no effect`;
  switch (definitions.state) {
    case 'current':
      return yes('Current', `the definitions are of this operator's version${ignored}`);
    case 'newer':
      return no(
        'NewerInstalled',
        `the definitions are of generation ${definitions.installed}, brought by an operator of a later version; this one has ${definitions.ours} and leaves them${ignored}. Upgrade this installation`,
      );
    case 'forbidden':
      return no(
        'NotAllowed',
        `this operator may not bring its definitions (${definitions.because}); apply charts/top-clients/crds by hand${ignored}`,
      );
  }
}
