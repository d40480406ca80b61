import { stringify } from 'yaml';
import { build, uidOf } from './boards/board.ts';
import { BOARD_SPECS } from './boards/index.ts';
import { ruleGroups } from './rules/rules.ts';

const GENERATED = 'Generated from dashboards/rules; to change it, change that and run: make generate';

const models = () =>
  Object.values(BOARD_SPECS).map((spec) => [`${uidOf(spec.name)}.json`, build(spec)] as const);

/** The dashboards as Grafana loads them and the rules as Prometheus does: name → text. The same on every machine. */
export const generatedFiles = (): ReadonlyMap<string, string> =>
  new Map([
    ...models().map(([name, model]) => [name, `${JSON.stringify(model, null, 2)}\n`] as const),
    ['top-clients.rules.yaml', rulesFile()],
  ]);

/** The dashboards for the chart, as short as possible, because every Helm release stores all of them. */
export const chartDashboards = (): ReadonlyMap<string, string> =>
  new Map(models().map(([name, model]) => [name, `${JSON.stringify(model)}\n`]));

/** One plain Prometheus rule file, for every installation that it scrapes. */
export const rulesFile = (): string =>
  `# ${GENERATED}\n${stringify({ groups: ruleGroups() }, { lineWidth: 0, aliasDuplicateObjects: false })}`;
