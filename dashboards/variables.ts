/** The values that replace Grafana's variables before Prometheus is queried. */
export interface VariableValues {
  readonly namespace: string;
  /** A regular expression, as Grafana builds it from several pages. */
  readonly page: string;
  readonly interval: string;
  readonly range: string;
}
export const ANY: VariableValues = { namespace: 'top-clients', page: '.+', interval: '1m', range: '1h' };

/** @throws Error when a variable without a value is left */
export function substitute(expr: string, values: VariableValues = ANY): string {
  const of: Readonly<Record<string, string>> = {
    namespace: values.namespace,
    page: values.page,
    __rate_interval: values.interval,
    __interval: values.interval,
    __range: values.range,
  };
  return expr.replace(/\$\{?(\w+)(?::\w+)?\}?/g, (whole, name: string) => {
    const value = of[name];
    if (value === undefined) throw new Error(`${whole} has no value; give it one in dashboards/variables.ts`);
    return value;
  });
}
