import { BURNS, badAt, FRESH_SECONDS, OBJECTIVES, type ObjectiveName } from '../objectives.ts';
import { calc, count, increase, max, orZero, quantile, rate, rest, since, sum } from '../promql.ts';
import { type BoardSpec, OUTCOME_COLOURS, type PanelSpec, rateUnitOf, series, unitOf } from './board.ts';

const ratio = (objective: ObjectiveName, window: '1h' | '30d') =>
  max(series(`topclients:objective_bad:ratio_${window}`, { objective }), 'page', 'delivery');

const kept = (
  objective: ObjectiveName,
  title: string,
  linksTo: PanelSpec['linksTo'] & string,
): PanelSpec => ({
  kind: 'stat',
  title,
  description: `${OBJECTIVES[objective].means}. The last hour; the objective over 30 days is ${OBJECTIVES[objective].target * 100} %.`,
  unit: 'percentunit',
  decimals: 2,
  max: 1,
  span: 6,
  limits: { bad: OBJECTIVES[objective].target, higherIsBetter: true },
  queries: [
    {
      expr: rest(ratio(objective, '1h')),
      legend: objective === 'freshness' ? '{{page}}' : '{{page}} {{delivery}}',
    },
  ],
  linksTo,
});

const eachObjective = (expr: (objective: ObjectiveName) => PanelSpec['queries'][number]['expr']) =>
  (Object.keys(OBJECTIVES) as ObjectiveName[]).map((objective) => ({
    expr: expr(objective),
    legend: objective === 'freshness' ? `${objective}: {{page}}` : `${objective}: {{page}} {{delivery}}`,
  }));

export const overview: BoardSpec = {
  name: 'overview',
  title: 'Top Clients: overview',
  description:
    'Start here. Are the objectives kept, what do buyers see, and which dashboard tells why. Alerts name their runbook.',
  sections: [
    {
      title: 'Are the promises kept?',
      height: 5,
      panels: [
        kept('renders', 'Pages answered without error', 'availability'),
        kept('completeness', 'Pages that showed everything', 'availability'),
        kept('freshness', `Changes seen within ${FRESH_SECONDS} s`, 'consistency'),
        {
          kind: 'stat',
          title: 'Self-view violations',
          description:
            'Times in the last day that the source answered the self-view with a list older than a change it had acknowledged. None is allowed.',
          unit: unitOf('topclients_self_view_violations_total'),
          decimals: 0,
          span: 3,
          limits: { bad: 0.5 },
          queries: [
            {
              expr: sum(increase(series('topclients_self_view_violations_total'), '1d')),
              legend: 'last day',
            },
          ],
          linksTo: 'availability',
        },
        {
          kind: 'stat',
          title: 'Alerts',
          description: 'That fire now; their names stand below. Each has a runbook in docs/runbooks.',
          unit: 'short',
          decimals: 0,
          span: 3,
          limits: { bad: 1 },
          queries: [
            {
              expr: orZero(
                count(
                  series('ALERTS', {
                    alertname: { re: 'TopClients.+' },
                    alertstate: 'firing',
                    page: { re: '.*' },
                  }),
                ),
              ),
              legend: 'firing',
            },
          ],
        },
      ],
    },
    {
      title: 'What do buyers see?',
      height: 8,
      panels: [
        {
          kind: 'lines',
          title: 'Pages answered, by what they showed',
          description:
            'full: everything. missing: without the brands. stale: with a version known to be old. error: the page itself failed.',
          unit: rateUnitOf('topclients_page_renders_total'),
          stacked: true,
          colours: OUTCOME_COLOURS,
          queries: [
            {
              expr: sum(rate(series('topclients_page_renders_total'), '$__rate_interval'), 'outcome'),
              legend: '{{outcome}}',
            },
          ],
          linksTo: 'availability',
        },
        {
          kind: 'lines',
          title: 'Time to answer, 99 of 100 pages',
          description: 'From the request to the answer. A page gives up at 1 s.',
          unit: unitOf('topclients_page_render_duration_seconds'),
          limits: { bad: 1 },
          queries: [
            {
              expr: quantile(
                0.99,
                sum(
                  rate(series('topclients_page_render_duration_seconds_bucket'), '$__rate_interval'),
                  'le',
                  'page',
                  'delivery',
                ),
              ),
              legend: '{{page}} {{delivery}}',
            },
          ],
          linksTo: 'availability',
        },
        {
          kind: 'lines',
          title: 'Age of the newest change seen',
          description: `A synthetic seller is changed once a second. So long ago was the change made that each page's database shows: a second or two when all is well, and rising steadily when nothing arrives.`,
          unit: unitOf('topclients_canary_seen_timestamp_seconds'),
          limits: { bad: FRESH_SECONDS },
          queries: [
            {
              expr: since(calc(max(series('topclients_canary_seen_timestamp_seconds'), 'page'), '>', 0)),
              legend: '{{page}}',
            },
          ],
          linksTo: 'consistency',
        },
      ],
    },
    {
      title: 'What is left of the budgets, and what fires?',
      height: 8,
      panels: [
        {
          kind: 'bars',
          title: 'Budget left of 30 days',
          description:
            'What the objectives allow to go wrong in 30 days and has not yet. Below nothing the objective is missed.',
          unit: 'percentunit',
          decimals: 0,
          min: 0,
          max: 1,
          limits: { bad: 0, warn: 0.25, higherIsBetter: true },
          queries: eachObjective((objective) =>
            rest(calc(ratio(objective, '30d'), '/', badAt(objective))),
          ).map((query) => ({ ...query, instant: true })),
        },
        {
          kind: 'lines',
          title: 'How fast the budgets are spent',
          description: `In the last hour, as a multiple of what lasts 30 days. Somebody is woken from ${BURNS[0]!.rate}.`,
          unit: 'suffix: ×',
          limits: { warn: 1, bad: BURNS[0]!.rate },
          queries: eachObjective((objective) => calc(ratio(objective, '1h'), '/', badAt(objective))),
        },
        {
          kind: 'states',
          title: 'Alerts that fire',
          description: 'Each has a runbook of its name in docs/runbooks.',
          unit: 'short',
          words: { 0: '', 1: 'firing', good: 0 },
          queries: [
            {
              expr: max(
                series('ALERTS', {
                  alertname: { re: 'TopClients.+' },
                  alertstate: 'firing',
                  page: { re: '.*' },
                }),
                'alertname',
                'severity',
                'page',
                'shard',
              ),
              legend: '{{alertname}} {{page}}{{shard}}',
            },
          ],
          emptyWhen: 'none fires',
        },
      ],
    },
  ],
};
