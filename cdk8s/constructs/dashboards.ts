import { ApiObject } from 'cdk8s';
import type { Construct } from 'constructs';
import type { Dashboards } from '../api/chart-values.ts';
import type { Platform } from '../platform.ts';
import { metadataOf } from './labels.ts';

/**
 * Dashboards in the form that Grafana's sidecar finds: one ConfigMap each.
 * @param files name → JSON, as in `charts/top-clients/dashboards/`
 */
export function dashboards(
  scope: Construct,
  platform: Pick<Platform, 'namespace' | 'spec'>,
  { enabled, labels, annotations }: Dashboards,
  files: ReadonlyMap<string, string>,
): void {
  if (!enabled) return;
  for (const [file, text] of files) {
    const name = file.replace(/^topclients-(.+)\.json$/, 'top-clients-dashboard-$1');
    const plain = metadataOf(platform, name, 'dashboards');
    new ApiObject(scope, name, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { ...plain, labels: { ...plain.labels, ...labels }, annotations },
      data: { [file]: text },
    });
  }
}
