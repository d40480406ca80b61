/** The lab's queries to Prometheus: curves and alerts, each with a deadline. */

/** The state of the demo's Prometheus. */
export type MetricsState =
  | { readonly state: 'starting' }
  /** There is none; `why` says what to do. */
  | { readonly state: 'absent'; readonly why: string }
  | { readonly state: 'running'; readonly url: string };

/** The values of a series at the requested instants; null where it had none. */
export interface Curve {
  readonly labels: Readonly<Record<string, string>>;
  readonly values: readonly (number | null)[];
}

/** Instants at equal distances, in seconds since 1970. */
export interface Span {
  readonly from: number;
  readonly to: number;
  readonly step: number;
}

export interface Alert {
  readonly name: string;
  readonly severity: string;
  /** `pending`: it holds, but not yet for long enough to alert anybody. */
  readonly state: 'firing' | 'pending';
  readonly summary: string;
}

const DEADLINE_MS = 2_500;

/** @throws Error with Prometheus' answer, or when it did not answer within 2.5 s */
export async function curves(url: string, query: string, span: Span): Promise<readonly Curve[]> {
  const { result } = await ask<{
    result: { metric: Record<string, string>; values: [number, string][] }[];
  }>(url, 'query_range', {
    query,
    start: String(span.from),
    end: String(span.to),
    step: String(span.step),
  });
  const points = Math.floor((span.to - span.from) / span.step) + 1;
  return result.map(({ metric, values }) => {
    const found = new Map(values.map(([at, value]) => [Math.round((at - span.from) / span.step), value]));
    return {
      labels: metric,
      values: Array.from({ length: points }, (_, index) => finite(found.get(index))),
    };
  });
}

/** NaN is the quotient of nothing by nothing: no value. */
function finite(text: string | undefined): number | null {
  const value = Number(text ?? 'NaN');
  return Number.isFinite(value) ? value : null;
}

/** @throws as {@link curves} */
export async function alerts(url: string): Promise<readonly Alert[]> {
  const { alerts } = await ask<{
    alerts: {
      labels: Record<string, string>;
      annotations: Record<string, string>;
      state: 'firing' | 'pending';
    }[];
  }>(url, 'alerts', {});
  return alerts.map(({ labels, annotations, state }) => ({
    name: labels['alertname'] ?? '',
    severity: labels['severity'] ?? '',
    state,
    summary: annotations['summary'] ?? '',
  }));
}

/** Names of targets that the last scrape did not reach. @throws as {@link curves} */
export async function silentTargets(url: string): Promise<readonly string[]> {
  const { result } = await ask<{ result: { metric: Record<string, string> }[] }>(url, 'query', {
    query: 'up == 0',
  });
  return result.map(({ metric }) => metric['pod'] ?? metric['instance'] ?? '').sort();
}

async function ask<T>(url: string, what: string, parameters: Readonly<Record<string, string>>): Promise<T> {
  const answer = await fetch(`${url}/api/v1/${what}?${new URLSearchParams(parameters)}`, {
    signal: AbortSignal.timeout(DEADLINE_MS),
  });
  const body = (await answer.json()) as { status: string; error?: string; data: T };
  if (body.status !== 'success') throw new Error(`Prometheus refuses ${what}: ${body.error}`);
  return body.data;
}
