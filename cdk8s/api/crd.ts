import { z } from 'zod';
import { fingerprint } from '../constructs/fingerprint.ts';
import type { KubeObject } from '../kube-object.ts';
import { GROUP, PLURALS } from '../own-names.ts';
import { DEFINITIONS, DEFINITIONS_ANNOTATION } from './definitions.ts';
import { PageViewRules, PageViewSpec, PageViewStatus, TopClientsStatus } from './page-view.ts';
import { type Rule, VERSION } from './shared.ts';
import { TopClientsRules, TopClientsSpec } from './top-clients.ts';

/** An OpenAPI schema as CRDs require it: structural, without references. */
export type StructuralSchema = { readonly [keyword: string]: unknown };

/** A column of a list of these resources: `kubectl get pageviews`. */
interface Column {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date';
  readonly jsonPath: string;
  readonly description: string;
  /** A column with a priority above 0 is shown by `-o wide` only. */
  readonly priority?: number;
}

interface Resource {
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortName: string;
  readonly description: string;
  readonly spec: z.ZodType;
  /** What nothing at all would mean breaks a rule, and the API server refuses a definition with such a default. */
  readonly specIsRequired?: boolean;
  readonly status: z.ZodType;
  readonly rules: { readonly 'x-kubernetes-validations': readonly Rule[] };
  readonly columns: readonly Column[];
  readonly scale?: Readonly<Record<string, string>>;
}

const AGE: Column = {
  name: 'Age',
  type: 'date',
  jsonPath: '.metadata.creationTimestamp',
  description: 'Since it was made',
};

/** What the conditions say: whether it does its work, and what is wrong. */
const READY: readonly Column[] = [
  {
    name: 'Ready',
    type: 'string',
    jsonPath: '.status.conditions[?(@.type=="Ready")].status',
    description: 'Whether it does its work: the condition Ready',
  },
  {
    name: 'Reason',
    type: 'string',
    jsonPath: '.status.conditions[?(@.type=="Ready")].reason',
    description: 'Why it is ready, or not',
  },
  {
    name: 'Trouble',
    type: 'string',
    jsonPath: '.status.conditions[?(@.type=="Degraded")].reason',
    description: 'What is wrong: the reason of the condition Degraded',
  },
];

const RESOURCES: readonly Resource[] = [
  {
    kind: 'TopClients',
    plural: PLURALS.TopClients,
    singular: 'topclient',
    shortName: 'tc',
    description: 'The platform of Top Clients: what owns the data and what carries it to the pages',
    spec: TopClientsSpec,
    specIsRequired: true,
    status: TopClientsStatus,
    rules: TopClientsRules,
    columns: [
      ...READY,
      {
        name: 'Workloads',
        type: 'string',
        jsonPath: '.status.ready',
        description: 'Workloads ready of those wanted',
      },
      { name: 'Kafka', type: 'string', jsonPath: '.spec.kafka.mode', description: 'Whose Kafka' },
      { name: 'Postgres', type: 'string', jsonPath: '.spec.postgres.mode', description: 'Whose PostgreSQL' },
      { name: 'Image', type: 'string', jsonPath: '.status.image', description: 'What all roles run' },
      AGE,
    ],
  },
  {
    kind: 'PageView',
    plural: PLURALS.PageView,
    singular: 'pageview',
    // `pv` is PersistentVolume's short name.
    shortName: 'tpv',
    description: 'A page that shows top clients: how it gets them, and what serves and projects it',
    spec: PageViewSpec,
    status: PageViewStatus,
    rules: PageViewRules,
    columns: [
      ...READY,
      { name: 'Delivery', type: 'string', jsonPath: '.spec.delivery', description: 'How data comes' },
      {
        name: 'Servers',
        type: 'string',
        jsonPath: '.status.ready',
        description: 'Servers ready of those wanted',
      },
      {
        name: 'Replicas',
        type: 'integer',
        jsonPath: '.status.replicas',
        description: 'Projectors that run',
      },
      { name: 'Lag', type: 'integer', jsonPath: '.status.lag', description: 'Records the view is behind' },
      { name: 'View', type: 'string', jsonPath: '.status.view', description: 'Shown, and being built' },
      AGE,
    ],
    scale: {
      specReplicasPath: '.spec.replicas',
      statusReplicasPath: '.status.replicas',
      labelSelectorPath: '.status.selector',
    },
  },
];

/**
 * The CRDs of our two resources, from the schemas that the operator parses with. The chart has them as files. The
 * operator applies them at its start, because Helm installs `crds/` but never upgrades it.
 */
export const customResourceDefinitions = (generation = DEFINITIONS.generation): KubeObject[] =>
  RESOURCES.map((resource) => definition(resource, generation));

/** Changes with the definitions, but not with their generation. */
export const definitionsFingerprint = (): string => fingerprint(customResourceDefinitions(0));

const definition = (resource: Resource, generation: number): KubeObject => ({
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: {
    name: `${resource.plural}.${GROUP}`,
    labels: { 'app.kubernetes.io/name': 'top-clients', 'app.kubernetes.io/part-of': 'top-clients' },
    // Deleting a CRD deletes every resource of its kind in the whole cluster.
    annotations: { 'helm.sh/resource-policy': 'keep', [DEFINITIONS_ANNOTATION]: String(generation) },
  },
  spec: {
    group: GROUP,
    scope: 'Namespaced',
    names: {
      kind: resource.kind,
      listKind: `${resource.kind}List`,
      plural: resource.plural,
      singular: resource.singular,
      shortNames: [resource.shortName],
      // Not the name of a resource: `kubectl get topclients NAME` would ask for that name in each kind.
      categories: ['top-clients'],
    },
    versions: [
      {
        name: VERSION,
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            description: resource.description,
            type: 'object',
            properties: {
              apiVersion: { type: 'string', description: `${GROUP}/${VERSION}` },
              kind: { type: 'string', description: resource.kind },
              metadata: { type: 'object' },
              spec: specOf(resource),
              status: structuralSchema(resource.status),
            },
            ...(resource.specIsRequired ? { required: ['spec'] } : {}),
            ...resource.rules,
          },
        },
        subresources: { status: {}, ...(resource.scale ? { scale: resource.scale } : {}) },
        additionalPrinterColumns: resource.columns,
      },
    ],
  },
});

function specOf({ spec, specIsRequired }: Resource): StructuralSchema {
  const { default: otherwise, ...schema } = structuralSchema(spec);
  return specIsRequired ? schema : { ...schema, default: otherwise };
}

/**
 * A zod schema in Kubernetes' form. Structural means that every value has one type and every member is listed, so that
 * the API server can fill in defaults and drop unknown members.
 * @throws Error naming the place that has no structural form
 */
export const structuralSchema = (schema: z.ZodType): StructuralSchema =>
  structural(z.toJSONSchema(schema, { io: 'input', reused: 'inline', target: 'draft-07' }), 'the schema');

type Json = Record<string, unknown>;

/** Keywords with the same meaning in both forms. */
const TAKEN = new Set([
  'default',
  'description',
  'enum',
  'format',
  'items',
  'maxItems',
  'maxLength',
  'maximum',
  'minItems',
  'minLength',
  'minimum',
  'pattern',
  'properties',
  'required',
  'type',
  'x-kubernetes-list-map-keys',
  'x-kubernetes-list-type',
  'x-kubernetes-preserve-unknown-fields',
  'x-kubernetes-validations',
]);
/** Expressed by other means: the API server refuses unknown members when the client asks for that (kubectl does). */
const LEFT_OUT = new Set(['$schema', 'additionalProperties', 'propertyNames', 'anyOf']);

function structural(json: Json, at: string): StructuralSchema {
  const result: Json = {};
  for (const [keyword, value] of Object.entries(json)) {
    if (LEFT_OUT.has(keyword)) continue;
    if (!TAKEN.has(keyword)) throw new Error(`${at} uses ${keyword}, which has no place in a definition`);
    // Zod bounds every integer by what a JSON number holds exactly; that is no rule of ours.
    if (typeof value === 'number' && Math.abs(value) === Number.MAX_SAFE_INTEGER) continue;
    result[keyword] = value;
  }
  const { properties, items, additionalProperties, anyOf } = json;
  if (properties && Object.keys(properties).length === 0) delete result['properties'];
  else if (properties) {
    result['properties'] = Object.fromEntries(
      Object.entries(properties as Record<string, Json>).map(([name, property]) => [
        name,
        structural(property, `${at}.${name}`),
      ]),
    );
  }
  if (items) result['items'] = structural(items as Json, `${at}[]`);
  // What is Kubernetes' own shape is kept as it is.
  if (additionalProperties && !json['x-kubernetes-preserve-unknown-fields'])
    result['additionalProperties'] = structural(additionalProperties as Json, `${at}.*`);
  if (anyOf) Object.assign(result, intOrString(anyOf as Json[], at));
  else if (typeof result['type'] !== 'string') throw new Error(`${at} has not exactly one type`);
  if (result['type'] === 'integer') result['format'] = 'int64';
  if (result['default'] && result['properties']) result['default'] = filledIn(result);
  return result;
}

/** The API server validates an object's default before it fills in the members' defaults, so it is completed here. */
const filledIn = ({ default: own, properties }: StructuralSchema): Json => ({
  ...Object.fromEntries(
    Object.entries(properties as Record<string, StructuralSchema>)
      .filter(([, property]) => property['default'] !== undefined)
      .map(([name, property]) => [name, property['default']]),
  ),
  ...(own as Json),
});

/** The only choice of types that a structural schema can express. */
function intOrString(options: readonly Json[], at: string): StructuralSchema {
  const [integer, text] = ['integer', 'string'].map((type) => options.find((one) => one['type'] === type));
  if (options.length !== 2 || !integer || !text) {
    throw new Error(`${at} is a choice of types; only that of a whole number and a text can be said`);
  }
  // Each keyword applies to its own type only, so both can be listed.
  return {
    'x-kubernetes-int-or-string': true,
    anyOf: [{ type: 'integer' }, { type: 'string' }],
    pattern: text['pattern'],
    maxLength: text['maxLength'],
    minimum: integer['minimum'],
  };
}
