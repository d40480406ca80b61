import { fileURLToPath } from 'node:url';
import type { ScrapeSettings } from '../local-stack/prometheus.ts';
import type { RoleProcess } from '../local-stack/system.ts';

/** The dashboards and the rules, as `make generate` writes them. */
export const DASHBOARDS = fileURLToPath(new URL('../../dashboards/generated', import.meta.url));
export const RULES = `${DASHBOARDS}/top-clients.rules.yaml`;

/** Takes the place of the Kubernetes namespace, by which dashboards and rules distinguish installations. */
export const NAMESPACE = 'demo';
/** Often, so that a fault made in the lab shows at once. */
export const SCRAPED_EVERY_MS = 2_000;

/** A process whose health port has metrics. */
export type Scraped = Pick<RoleProcess, 'name' | 'role' | 'healthPort'>;

/**
 * The Prometheus configuration for these processes, with the labels that they have in a cluster.
 * @param ruleFile plain Prometheus rules; the dashboards' own when absent
 */
export function scraping(processes: readonly Scraped[], ruleFile: string = RULES): ScrapeSettings {
  return {
    job: 'top-clients',
    everyMs: SCRAPED_EVERY_MS,
    ruleFiles: [ruleFile],
    targets: processes.map(({ name, role, healthPort }) => ({
      address: `127.0.0.1:${healthPort}`,
      labels: {
        namespace: NAMESPACE,
        pod: name,
        container: role,
        app_kubernetes_io_component: role,
        app_kubernetes_io_instance: NAMESPACE,
      },
    })),
  };
}
