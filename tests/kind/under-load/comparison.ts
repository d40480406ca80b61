/** The shown view of a page compared with the source, by the program that compares it before it is shown. */
import { type Cluster, until } from '../cluster.ts';

export interface ClusterComparison {
  /** Sellers whose row is missing, wrong or surplus. */
  readonly differing: number;
  readonly caughtUp: boolean;
}

/** What the watcher of a page is told and the comparison is not. */
const OF_THE_WATCHER = ['TC_REPAIR', 'TC_SELLERS_PER_SECOND', 'TC_KEPT_VIEWS'];
let count = 0;

/** Compares every seller; waits for the view to catch up first. The page must be watched: its settings are taken from there. */
export async function compareView(cluster: Cluster, page: string): Promise<ClusterComparison> {
  const { template } = (await cluster.get('deployments', `top-clients-watch-${page}`)).spec;
  const [container] = template.spec.containers;
  const { image, imagePullPolicy, env, resources, securityContext, volumeMounts, terminationMessagePolicy } =
    container;
  const name = `compare-${page}-${++count}`;
  await cluster.apply({
    apiVersion: 'v1',
    kind: 'Pod',
    // Policies let a comparison out to what it asks.
    metadata: {
      name,
      labels: {
        ...template.metadata.labels,
        'app.kubernetes.io/component': 'compare-views',
        'app.kubernetes.io/instance': name,
      },
    },
    spec: {
      restartPolicy: 'Never',
      automountServiceAccountToken: false,
      securityContext: template.spec.securityContext,
      volumes: template.spec.volumes,
      containers: [
        {
          ...{ name: 'compare-views', image, imagePullPolicy, resources, securityContext, volumeMounts },
          ...{ terminationMessagePolicy, args: ['compare-views'] },
          env: env.filter((one: { name: string }) => !OF_THE_WATCHER.includes(one.name)),
        },
      ],
    },
  });
  const ended = await until(
    `${page} is compared`,
    async () => {
      const { status } = await cluster.get('pods', name);
      return status.containerStatuses?.[0]?.state?.terminated;
    },
    180_000,
    1_000,
  );
  if (ended.exitCode !== 0) throw new Error(`the comparison of ${page} came to no verdict: ${ended.message}`);
  return JSON.parse(ended.message);
}
