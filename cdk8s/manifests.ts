import { App, Chart } from 'cdk8s';
import type { Construct } from 'constructs';
import { outboxRelay } from './constructs/outbox-relay.ts';
import type { KubeObject } from './kube-object.ts';
import type { PagePlan, Platform } from './platform.ts';

/**
 * The objects of a platform in the order in which they are needed. Whoever applies them may wait between two groups
 * until the first is ready (the operator does), or apply all at once: every role waits for what it needs.
 */
export interface PlatformObjects {
  /** Accounts, policies, configuration. */
  readonly ground: readonly KubeObject[];
  /** Kafka and PostgreSQL, where they are ours to run. */
  readonly stores: readonly KubeObject[];
  /** Jobs that bring the source's database, the topic and the self-view's database to this version. */
  readonly migrations: readonly KubeObject[];
  readonly workloads: readonly KubeObject[];
  /** Jobs that come after the workloads' databases are migrated, pages included: the demo's data. */
  readonly seeding: readonly KubeObject[];
}
export interface PageObjects {
  readonly ground: readonly KubeObject[];
  /** Jobs that bring the page's own database, and each projected view, to this version. */
  readonly migrations: readonly KubeObject[];
  readonly workloads: readonly KubeObject[];
}

export function platformObjects(platform: Platform): PlatformObjects {
  return {
    ground: [],
    stores: [],
    migrations: [],
    workloads: build((scope) => outboxRelay(scope, platform)),
    seeding: [],
  };
}

export function pageObjects(_platform: Platform, _page: PagePlan): PageObjects {
  return { ground: [], migrations: [], workloads: [] };
}

/** Runs constructs in a chart of their own and returns what they made, in order. */
function build(construct: (scope: Construct) => void): KubeObject[] {
  const chart = new Chart(new App(), 'chart', { disableResourceNameHashes: true });
  construct(chart);
  return chart.toJson() as KubeObject[];
}
