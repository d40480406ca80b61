import { stringify } from 'yaml';
import { z } from 'zod';
import { PAGE_NAMES } from '#contracts/pages.ts';
import { ChartValues } from './api/chart-values.ts';
import { customResourceDefinitions } from './api/crd.ts';
import { DEFINITIONS } from './api/definitions.ts';
import { PageViewRules, PageViewSpec, TOO_FEW_SERVERS } from './api/page-view.ts';
import { AMOUNT_TEMPLATE, rulesTemplate } from './api/rules-template.ts';
import { TopClientsSpec } from './api/top-clients.ts';

type Schema = Record<string, unknown>;
const GENERATED = 'Generated from cdk8s/api; to change it, change that and run: make generate';

/** The chart's files generated from schemas: path below `charts/top-clients/` → text. The same on every machine. */
export function chartFiles(generation = DEFINITIONS.generation): ReadonlyMap<string, string> {
  const schema = valuesSchema();
  return new Map([
    ...customResourceDefinitions(generation).map(
      (definition) =>
        [
          `crds/${definition.metadata.name}.yaml`,
          `# ${GENERATED}\n${stringify(definition, { lineWidth: 0, aliasDuplicateObjects: false })}`,
        ] as const,
    ),
    ['values.schema.json', `${JSON.stringify(withPodSettingsOnce(schema), null, 2)}\n`],
    ['VALUES.md', valuesTable(schema)],
    ['templates/_defaults.tpl', defaultsTemplate()],
    ['templates/_rules.tpl', rulesOfValues()],
  ]);
}

/** Unknown values are refused, and Helm's message names them: a misspelt value would otherwise have no effect. */
function valuesSchema(): Schema {
  const schema = z.toJSONSchema(ChartValues, { io: 'input', reused: 'inline', target: 'draft-07' });
  return JSON.parse(JSON.stringify(schema), (keyword, value) => {
    // Only the API server evaluates rules; and zod bounds every integer by what a JSON number holds exactly.
    if (keyword.startsWith('x-kubernetes-')) return undefined;
    return Math.abs(value) === Number.MAX_SAFE_INTEGER ? undefined : value;
  });
}

/** The settings of pods stand at a dozen places; as one definition, the file is a third as long. */
function withPodSettingsOnce(schema: Schema): Schema {
  const names = new Map<string, string>();
  const definitions: Record<string, unknown> = {};
  const rest = JSON.parse(JSON.stringify(schema), (key, value) => {
    if ((key !== 'pod' && key !== 'pods') || value?.properties?.tolerations === undefined) return value;
    const { description, ...shape } = value;
    const text = JSON.stringify(shape);
    const name = names.get(text) ?? `podSettings${names.size === 0 ? '' : names.size + 1}`;
    names.set(text, name);
    definitions[name] = shape;
    // Beside a `$ref` nothing else counts in draft 7.
    return { description, allOf: [{ $ref: `#/definitions/${name}` }] };
  });
  return { ...rest, definitions };
}

/** The defaults that a template needs for values that were not given. */
function defaultsTemplate(): string {
  const { replicas, autoscaling } = PageViewSpec.parse({});
  const { kafka, postgres } = TopClientsSpec.parse({});
  const defaults = {
    partitions: kafka.partitions,
    replicas,
    maxReplicas: autoscaling.maxReplicas,
    images: { kafka: kafka.embedded.image, postgres: postgres.embedded.image },
  };
  const { topClients: _, pages: __, ...sections } = ChartValues.parse({});
  return `{{/* ${GENERATED} */}}
{{- define "top-clients.defaults" -}}
${stringify(defaults)}{{- end }}

{{/* What a part of the values is where it, or a member of it, was set to null. */}}
{{- define "top-clients.sections" -}}
${stringify(sections, { aliasDuplicateObjects: false })}{{- end }}
`;
}

/** The rules of the API server over the values, one template a resource. */
function rulesOfValues(): string {
  const named = z
    .object({
      metadata: z.object({ name: z.string() }),
      spec: z.object({ external: z.unknown().optional() }).optional(),
    })
    .meta(PageViewRules);
  return [
    `{{/* ${GENERATED} */}}`,
    AMOUNT_TEMPLATE,
    rulesTemplate('top-clients.broken.platform', TopClientsSpec),
    rulesTemplate('top-clients.broken.page', PageViewSpec),
    rulesTemplate('top-clients.broken.name', named),
    `{{- define "top-clients.tooFewServers" -}}${TOO_FEW_SERVERS}{{- end }}\n`,
  ].join('\n');
}

function valuesTable(schema: Schema): string {
  const rows = leaves(schema, []).map(
    ({ path, about, otherwise }) =>
      `| \`${path.join('.')}\` | ${otherwise === undefined ? '' : `\`${JSON.stringify(otherwise)}\``} | ${about} |`,
  );
  return [
    `<!-- ${GENERATED} -->`,
    '# Values',
    '',
    'What stands below `topClients` is the spec of the TopClients resource, what stands below `pages` those of the',
    'PageViews; `kubectl explain topclients.spec.kafka` tells the same. The defaults are those of the resources;',
    'what `values.yaml` sets beyond them stands there.',
    '',
    '| value | default | what |',
    '|---|---|---|',
    ...rows,
    '',
  ].join('\n');
}

interface Leaf {
  readonly path: readonly string[];
  readonly about: string;
  readonly otherwise: unknown;
}

function leaves(schema: Schema, path: readonly string[]): Leaf[] {
  const { properties, anyOf, description, default: otherwise } = schema;
  // A page may be null; its members are in the other choice.
  const choice = (anyOf as Schema[] | undefined)?.find((one) => one['properties']);
  const members = (properties ?? choice?.['properties']) as Record<string, Schema> | undefined;
  // The same members as those of topClients.pods, which are listed.
  if (path.at(-1) === 'pod') return [{ path, about: lineOf(description), otherwise }];
  if (!members || Object.keys(members).length === 0) return [{ path, about: lineOf(description), otherwise }];
  const inside = Object.entries(members).flatMap(([name, member]) => leaves(member, [...path, name]));
  if (!choice) return inside;
  const page = { path, about: lineOf(description), otherwise: {} };
  // All pages have the same members, so only the first page lists them.
  return path.at(-1) === PAGE_NAMES[0] ? [page, ...inside] : [page];
}

const lineOf = (description: unknown) => String(description ?? '').replaceAll('|', '\\|');
