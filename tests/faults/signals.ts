/** I10, for lasting faults: whether they were signalled, by readiness or by the shipped alerts. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { pause } from '#platform/lifecycle.ts';
import { LIMITS } from '../../dashboards/objectives.ts';
import type { AlertName, AlertRule } from '../../dashboards/rules/alerts.ts';
import { ruleGroups } from '../../dashboards/rules/rules.ts';
import { seriesIn } from '../../services/local-stack/exposition.ts';
import {
  type LocalPrometheus,
  PrometheusMissing,
  startPrometheus,
} from '../../services/local-stack/prometheus.ts';
import { type FaultWorld, type PageServer, ROLE_NAMES, type RoleName } from './world.ts';

/**
 * What signals a fault to a person. Alerts about pages look at hours, so the input of their rules is judged instead:
 * renders that are counted as anything but full.
 */
export type Sign = AlertName | `${RoleName} is not ready` | `${PageServer} counts incomplete renders`;

export interface Signal {
  /** One of these is enough. */
  readonly anyOf: readonly Sign[];
  /** In seconds: a fault that lasts this long must have been signalled when it is healed, by the hasty rules. */
  readonly afterSeconds: number;
}

export interface SignalWatch {
  /** Null when alerts are judged; otherwise why they cannot be. */
  readonly withoutAlerts: string | null;
  /** Signs seen between two instants of `performance.now()`. */
  seenBetween(from: number, to: number): ReadonlySet<Sign>;
  stop(): Promise<void>;
}

export const isAlert = (sign: Sign): sign is AlertName => /^TopClients\w+$/.test(sign);

/** The hasty rules wait seconds instead of the minutes of the shipped ones. */
const HASTY = { for: '1s', limitSeconds: 3, windowSeconds: 5, everyMs: 1_000 } as const;
const LOOK_EVERY_MS = 400;

/** The shipped alerts, with limits, windows and `for` in seconds instead of minutes. Pure. */
export function hastyAlerts(wanted: ReadonlySet<AlertName>): AlertRule[] {
  const rules = ruleGroups().flatMap((group) =>
    group.rules.flatMap((rule) => ('alert' in rule && wanted.has(rule.alert) ? [rule] : [])),
  );
  return rules.map((rule) => ({
    ...rule,
    for: HASTY.for,
    expr: rule.expr
      .replaceAll(`> ${LIMITS.relayStuck}`, `> ${HASTY.limitSeconds}`)
      .replaceAll('[3m]', `[${HASTY.windowSeconds}s]`),
  }));
}

/** @param faults only their alerts are evaluated */
export async function watchSignals(
  world: FaultWorld,
  faults: readonly { readonly signal?: Signal }[],
): Promise<SignalWatch> {
  const alerts = new Set(faults.flatMap(({ signal }) => signal?.anyOf.filter(isAlert) ?? []));
  const prometheus = alerts.size === 0 ? null : await evaluate(world, alerts);
  const seen: Array<{ readonly sign: Sign; readonly at: number }> = [];
  const stopping = new AbortController();
  const incomplete = new Map<PageServer, number>();
  const look = async () => {
    const tell = (sign: Sign) => seen.push({ sign, at: performance.now() });
    await Promise.all([
      ...ROLE_NAMES.map(async (name) => {
        if (!(await world.role(name).isReady())) tell(`${name} is not ready`);
      }),
      ...(Object.keys(world.pageUrls) as PageServer[]).map(async (page) => {
        const now = incompleteRenders(await world.role(page).metrics());
        if (now > (incomplete.get(page) ?? now)) tell(`${page} counts incomplete renders`);
        incomplete.set(page, now);
      }),
      ...(prometheus instanceof Object ? [firing(prometheus).then((names) => names.forEach(tell))] : []),
    ]);
  };
  const looking = (async () => {
    while (!stopping.signal.aborted) {
      await look().catch(() => {});
      await pause(LOOK_EVERY_MS, stopping.signal);
    }
  })();
  return {
    withoutAlerts: typeof prometheus === 'string' ? prometheus : null,
    seenBetween: (from, to) =>
      new Set(seen.filter(({ at }) => at >= from && at <= to).map(({ sign }) => sign)),
    async stop() {
      stopping.abort();
      await looking;
      if (prometheus instanceof Object) await prometheus.stop();
    },
  };
}

/** @returns why there are no alerts, if there are none */
async function evaluate(
  world: FaultWorld,
  alerts: ReadonlySet<AlertName>,
): Promise<LocalPrometheus | string> {
  const rules = join(world.folder, 'rules.yaml');
  await writeFile(
    rules,
    stringify({
      groups: [{ name: 'hasty', interval: `${HASTY.everyMs}ms`, rules: hastyAlerts(alerts) }],
    }),
  );
  try {
    return await startPrometheus({
      dataDir: join(world.folder, 'prometheus'),
      scrape: {
        job: 'top-clients',
        everyMs: HASTY.everyMs,
        ruleFiles: [rules],
        targets: ROLE_NAMES.map((name) => ({
          address: world.role(name).health,
          labels: { namespace: 'faults', pod: name },
        })),
      },
    });
  } catch (err) {
    if (err instanceof PrometheusMissing) return err.message;
    throw err;
  }
}

async function firing(prometheus: LocalPrometheus): Promise<AlertName[]> {
  const answer = await fetch(`${prometheus.url}/api/v1/alerts`, { signal: AbortSignal.timeout(2_000) });
  const { data } = (await answer.json()) as {
    data: { alerts: { state: string; labels: { alertname: AlertName } }[] };
  };
  return data.alerts.flatMap(({ state, labels }) => (state === 'firing' ? [labels.alertname] : []));
}

const incompleteRenders = (text: string): number =>
  seriesIn(text, 'topclients_page_renders_total').reduce(
    (sum, { labels, value }) => (labels.includes('outcome="full"') ? sum : sum + value),
    0,
  );
