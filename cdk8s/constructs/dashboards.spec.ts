import { expect, test } from '@jest/globals';
import { build } from '../build.ts';
import { wanted } from '../testing/platforms.ts';
import { dashboards } from './dashboards.ts';

const FILES = new Map([['topclients-overview.json', '{"uid":"topclients-overview"}\n']]);
const objectsOf = (values: unknown) => {
  const { platform, dashboards: settings } = wanted({ dashboards: values });
  return build((scope) => dashboards(scope, platform, settings, FILES));
};

test('a dashboard is a ConfigMap with the label and the folder that the sidecar of Grafana looks for', () => {
  expect(objectsOf({})).toEqual([
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: {
        name: 'top-clients-dashboard-overview',
        namespace: 'shop',
        labels: expect.objectContaining({
          grafana_dashboard: '1',
          'app.kubernetes.io/part-of': 'top-clients',
        }),
        annotations: { grafana_folder: 'Top Clients' },
      },
      data: { 'topclients-overview.json': '{"uid":"topclients-overview"}\n' },
    },
  ]);
});

test('labels and folder are those of the values, and there are none when they are not wanted', () => {
  const [one] = objectsOf({ labels: { board: 'yes' }, annotations: { folder: 'Shop' } });
  expect(one!.metadata).toMatchObject({ labels: { board: 'yes' }, annotations: { folder: 'Shop' } });
  expect(one!.metadata.labels).not.toHaveProperty('grafana_dashboard');
  expect(objectsOf({ enabled: false })).toEqual([]);
});
