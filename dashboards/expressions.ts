import { ANNOTATIONS, type BoardName, CHOICES } from './boards/board.ts';
import { BOARD_SPECS } from './boards/index.ts';
import { count, rate } from './promql.ts';
import { ruleGroups } from './rules/rules.ts';

/** An expression of a dashboard, with Grafana's variables; `substitute` replaces them by values. */
export interface PanelQuery {
  readonly board: BoardName;
  readonly panel: string;
  readonly expr: string;
  /** `{{label}}` stands for a label of the result. */
  readonly legend: string;
  /** Why it may have no result although there is no problem; absent when it must have one. */
  readonly emptyWhen?: string;
}

/** The panels' expressions, in reading order. */
export function panelQueries(): readonly PanelQuery[] {
  return Object.values(BOARD_SPECS).flatMap(({ name, sections }) =>
    sections.flatMap(({ panels }) =>
      panels.flatMap(({ title, queries, emptyWhen }) =>
        queries.map(({ expr, legend }) => ({
          board: name,
          panel: title,
          expr: expr.text,
          legend,
          ...(emptyWhen === undefined ? {} : { emptyWhen }),
        })),
      ),
    ),
  );
}

/** Every shipped expression, with its place and the text that uses its labels. */
export function allExpressions(): readonly { where: string; expr: string; text: string }[] {
  return [
    ...panelQueries().map(({ board, panel, expr, legend }) => ({
      where: `${board}, ${panel}`,
      expr,
      text: legend,
    })),
    ...ANNOTATIONS.map(({ name, expr, title }) => ({
      where: `marks: ${name}`,
      expr: expr.text,
      text: title,
    })),
    ...Object.entries(CHOICES).map(([name, { of, label }]) => ({
      where: `choice of ${name}`,
      // A choice uses only the labels of a counter, so those are what the gate checks.
      expr: count(name === 'page' ? rate(of, '1m') : of, label).text,
      text: `{{${label}}}`,
    })),
    ...ruleGroups().flatMap(({ rules }) =>
      rules.map((rule) => ({
        where: 'alert' in rule ? rule.alert : `${rule.record} ${rule.labels?.objective ?? ''}`,
        expr: rule.expr,
        text: 'alert' in rule ? Object.values(rule.annotations).join(' ') : '',
      })),
    ),
  ];
}
