import { type Scope, within } from '../promql.ts';
import { type AlertRule, alertRules } from './alerts.ts';
import { FAST_WINDOWS, type RecordingRule, ratioRule, recordingRules } from './recording.ts';

export interface RuleGroup {
  readonly name: string;
  readonly interval: string;
  readonly rules: readonly (RecordingRule | AlertRule)[];
}

/** Where the runbooks are in this repository. */
export const RUNBOOKS = 'docs/runbooks';

/**
 * The rules, in a form that both Prometheus and the Prometheus operator accept. Without a namespace they watch every
 * installation that a Prometheus scrapes, each separately. With a namespace they watch that one only, so that every
 * installation can bring its own rules and nothing is counted twice.
 * @param options.runbooks address or path of the folder of runbooks
 */
export function ruleGroups(
  options: { readonly namespace?: string; readonly runbooks?: string } = {},
): readonly RuleGroup[] {
  const { namespace, runbooks = RUNBOOKS } = options;
  const scope: Scope = namespace === undefined ? {} : { namespace };
  const series = within(scope);
  // The Prometheus operator names a job after its PodMonitor: namespace/name.
  const jobs = `${namespace === undefined ? '(.+/)?' : `${namespace}/`}top-clients(-operator)?`;
  return [
    {
      name: 'top-clients-objectives',
      interval: '30s',
      rules: [...recordingRules(series), ...FAST_WINDOWS.map((window) => ratioRule(series, window))],
    },
    {
      // Two long reads, of something that changes slowly.
      name: 'top-clients-budgets',
      interval: '5m',
      rules: [ratioRule(series, '30d')],
    },
    {
      name: 'top-clients-alerts',
      interval: '30s',
      rules: alertRules(series, { runbooks: runbooks.replace(/\/+$/, ''), jobs }),
    },
  ];
}
