import { customResourceDefinitions } from '#cdk8s/api/crd.ts';
import { Backoff } from '#platform/backoff.ts';
import { pause } from '#platform/lifecycle.ts';
import type { Log } from '#platform/log.ts';
import { type Kube, KubeError } from '../../runtime/kube.ts';
import { refOf } from '../../runtime/objects.ts';

// Helm's own field manager name: Helm applies `crds/` at every install, and fails when another manager owns the fields.
const FIELD_MANAGER = 'helm';

/**
 * Applies this version of our two CRDs, and waits until they are served: Helm installs what is in `crds/` and never
 * upgrades it. Without the right to change CRDs, somebody has to update them by hand; the log says so.
 */
export async function bringDefinitions(
  kube: Pick<Kube, 'apply' | 'get'>,
  signal: AbortSignal,
  log: Log,
): Promise<void> {
  for (const definition of customResourceDefinitions()) {
    const backoff = new Backoff({ firstMs: 250, longestMs: 10_000 });
    while (!signal.aborted) {
      try {
        await kube.apply(definition, { fieldManager: FIELD_MANAGER });
        const conditions = (await kube.get(refOf(definition)))?.status?.conditions as
          | { type: string; status: string }[]
          | undefined;
        if (conditions?.some(({ type, status }) => type === 'Established' && status === 'True')) break;
      } catch (err) {
        const definedAs = definition.metadata.name;
        if (err instanceof KubeError && err.code === 403) {
          log.warn(
            { definedAs, because: err.message },
            'may not bring a definition up to date; do it by hand',
          );
          break;
        }
        log.warn({ err, definedAs }, 'could not bring a definition up to date; trying again');
      }
      await pause(backoff.next(), signal);
    }
  }
}
