import type { ViewId } from './api/page-view.ts';
import { build } from './build.ts';
import { builtOnce } from './built-once.ts';
import { autoscaler, autoscalerAccess } from './constructs/autoscaler.ts';
import { demoData } from './constructs/demo-data.ts';
import { exposePage, exposePlatform } from './constructs/exposure.ts';
import { issuer } from './constructs/issuer.ts';
import { kafkaEmbedded } from './constructs/kafka-embedded.ts';
import { kafkaStrimzi } from './constructs/kafka-strimzi.ts';
import { databaseJob, pageJob, shownViewJob, topicJob } from './constructs/migration-job.ts';
import { monitoring } from './constructs/monitoring.ts';
import { externalPagePolicies, networkPolicies } from './constructs/network-policies.ts';
import { outboxRelay } from './constructs/outbox-relay.ts';
import { pageServer, selfView } from './constructs/page-server.ts';
import { postgresCnpg } from './constructs/postgres-cnpg.ts';
import { postgresEmbedded } from './constructs/postgres-embedded.ts';
import { projector } from './constructs/projector.ts';
import { growthJobOf, republishJobOf, restoredJobOf } from './constructs/republish-job.ts';
import { pageAccounts, serviceAccounts } from './constructs/service-accounts.ts';
import { topClients } from './constructs/top-clients.ts';
import { compareViewJob, dropPageJob, dropViewJob } from './constructs/view-jobs.ts';
import { viewWatcher } from './constructs/view-watcher.ts';
import type { KubeObject } from './kube-object.ts';
import {
  isSameView,
  isSwitchedTo,
  isView,
  type PageOf,
  type PagePlan,
  type Platform,
  type ShownView,
  type SwitchedTo,
} from './platform.ts';

/**
 * The objects of a platform, in groups, in the order in which they are needed. Whoever applies them may wait after each
 * group until it is ready (as the operator does), or apply all at once: every role waits for what it needs.
 */
export interface PlatformObjects {
  /** Accounts, policies, configuration. */
  readonly ground: readonly KubeObject[];
  /** Kafka and PostgreSQL, where they are ours to run. */
  readonly stores: readonly KubeObject[];
  /** Jobs that migrate the source's database, the topic and the self-view's database. */
  readonly migrations: readonly KubeObject[];
  readonly workloads: readonly KubeObject[];
  /** Jobs for the demo's data. They run once the databases are migrated, those of pages included. */
  readonly seeding: readonly KubeObject[];
}
export interface PageObjects {
  readonly ground: readonly KubeObject[];
  /** Jobs that migrate the page's own tables and each projected view. */
  readonly migrations: readonly KubeObject[];
  readonly workloads: readonly KubeObject[];
}

/**
 * The objects of a platform without the secrets `names.issuer`, `names.callers`, those of `accounts()` and of the owners
 * of embedded servers: their content is random, and whoever applies these objects creates them once.
 */
export const platformObjects = builtOnce((platform: Platform): PlatformObjects => {
  const { kafka, postgres, selfView: ownPage } = platform.spec;
  return {
    ground: build((scope) => {
      serviceAccounts(scope, platform);
      networkPolicies(scope, platform);
      monitoring(scope, platform);
    }),
    stores: build((scope) => {
      if (kafka.mode === 'embedded') kafkaEmbedded(scope, platform);
      if (kafka.mode === 'strimzi') kafkaStrimzi(scope, platform);
      if (postgres.mode === 'embedded') postgresEmbedded(scope, platform);
      if (postgres.mode === 'cnpg') postgresCnpg(scope, platform);
    }),
    migrations: build((scope) => {
      topicJob(scope, platform);
      databaseJob(scope, platform, 'source');
      if (ownPage.enabled) databaseJob(scope, platform, 'self-view');
    }),
    workloads: build((scope) => {
      issuer(scope, platform);
      topClients(scope, platform);
      outboxRelay(scope, platform);
      if (ownPage.enabled) selfView(scope, platform);
      exposePlatform(scope, platform);
    }),
    seeding: build((scope) => demoData(scope, platform)),
  };
});

export const pageObjects = builtOnce((platform: Platform, page: PagePlan): PageObjects => {
  return {
    ground: build((scope) => {
      pageAccounts(scope, platform, page);
      autoscalerAccess(scope, platform, page);
      externalPagePolicies(scope, platform, page);
    }),
    migrations: build((scope) => {
      // The job of a view also migrates the page's own tables, so these need a job of their own only without a view.
      if (page.projected.length === 0) pageJob(scope, platform, page, null);
      for (const view of page.projected) {
        if (isSwitchedTo(page.shown) && isSameView(view, page.shown))
          shownViewJob(scope, platform, page, page.shown);
        else pageJob(scope, platform, page, view);
      }
    }),
    workloads: build((scope) => {
      pageServer(scope, platform, page);
      exposePage(scope, platform, page);
      for (const view of page.projected) {
        projector(scope, platform, page, view);
        autoscaler(scope, platform, page, view);
      }
      viewWatcher(scope, platform, page);
    }),
  };
});

/** The job that compares a view with the source; its verdict is its pod's termination message, as JSON. */
export const compareJob = (platform: Platform, page: PageOf, view: ViewId, attempt: number): KubeObject =>
  build((scope) => compareViewJob(scope, platform, page, view, attempt))[0]!;

/** The job that has a page show a view. */
export const showJob = (platform: Platform, page: PageOf, view: SwitchedTo): KubeObject =>
  build((scope) => shownViewJob(scope, platform, page, view))[0]!;

/** The job that grows the layout to this many partitions. Only allowed when every relay reads the layout. */
export const growthJob = (platform: Platform, partitions: number): KubeObject =>
  build((scope) => growthJobOf(scope, platform, partitions))[0]!;

/** The job that publishes every seller again. @param request an equal request is the same job */
export const republishJob = (platform: Platform, request: string): KubeObject =>
  build((scope) => republishJobOf(scope, platform, request))[0]!;

/** What brings a restored source above what it had published; another value of `request` is another run. */
export const restoredJob = (platform: Platform, request: string): KubeObject =>
  build((scope) => restoredJobOf(scope, platform, request))[0]!;

/**
 * The job that removes a view from its page's database. Only for a view that nothing projects.
 * @param shown what the page shows: where that is no view, the last one may be removed
 */
export const dropJob = (platform: Platform, page: PageOf, view: ViewId, shown: ShownView): KubeObject =>
  build((scope) => dropViewJob(scope, platform, page, view, !isView(shown)))[0]!;

/** The job that removes from a page's database all that was made there. Only for a page that nothing projects. */
export const dropAllJob = (platform: Platform, page: PageOf): KubeObject =>
  build((scope) => dropPageJob(scope, platform, page))[0]!;
