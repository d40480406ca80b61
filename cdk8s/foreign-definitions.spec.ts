/** What we make for other operators, held against the definitions that they publish, as strictly as an API server. */
import { expect, test } from '@jest/globals';
import type { KubeObject } from './kube-object.ts';
import { THEIR_DEFINITIONS } from './testing/foreign-kinds.ts';
import { EXAMPLES, objectsOf } from './testing/platforms.ts';

interface Schema {
  readonly type?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly oneOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly not?: Schema;
  readonly nullable?: boolean;
  readonly 'x-kubernetes-int-or-string'?: boolean;
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
}
interface Definition {
  readonly group: string;
  readonly names: { readonly kind: string };
  readonly versions: readonly {
    readonly name: string;
    readonly served: boolean;
    readonly schema: { readonly openAPIV3Schema: Schema };
  }[];
}

const SCHEMAS: ReadonlyMap<string, Schema> = new Map(
  THEIR_DEFINITIONS.flatMap(({ spec }) => {
    const { group, names, versions } = spec as unknown as Definition;
    return versions
      .filter(({ served }) => served)
      .map(({ name, schema }) => [`${group}/${name} ${names.kind}`, schema.openAPIV3Schema] as const);
  }),
);
const kindOf = ({ apiVersion, kind }: KubeObject) => `${apiVersion} ${kind}`;

/** What is wrong with a value. CEL and formats are left to the API server. */
function faults(schema: Schema, value: unknown, at: string): string[] {
  if (value === undefined || (value === null && schema.nullable)) return [];
  const choices = [
    ...(schema.allOf ?? []).flatMap((one) => faults(one, value, at)),
    ...(schema.anyOf && !schema.anyOf.some((one) => faults(one, value, at).length === 0)
      ? [`${at} is none of what it may be`]
      : []),
    ...(schema.oneOf && schema.oneOf.filter((one) => faults(one, value, at).length === 0).length !== 1
      ? [`${at} is not exactly one of what it may be`]
      : []),
    ...(schema.not && faults(schema.not, value, at).length === 0 ? [`${at} is what it must not be`] : []),
  ];
  const type = Array.isArray(value) ? 'array' : Number.isInteger(value) ? 'integer' : typeof value;
  const wanted = schema['x-kubernetes-int-or-string']
    ? ['integer', 'string']
    : schema.type
      ? [schema.type]
      : [];
  if (wanted.length > 0 && !wanted.includes(type) && !(wanted.includes('number') && type === 'integer')) {
    return [...choices, `${at} is a ${type}, not a ${wanted.join(' or ')}`];
  }
  if (schema.enum && !schema.enum.includes(value)) choices.push(`${at} is ${value}, none of ${schema.enum}`);
  if (typeof value === 'string') return [...choices, ...ofText(schema, value, at)];
  if (typeof value === 'number') {
    const { minimum = -Infinity, maximum = Infinity } = schema;
    return [...choices, ...(value < minimum || value > maximum ? [`${at} is ${value}`] : [])];
  }
  if (Array.isArray(value)) {
    const { minItems = 0, maxItems = Infinity, items } = schema;
    return [
      ...choices,
      ...(value.length < minItems || value.length > maxItems ? [`${at} has ${value.length} members`] : []),
      ...(items ? value.flatMap((one, i) => faults(items, one, `${at}[${i}]`)) : []),
    ];
  }
  if (typeof value === 'object' && value !== null) choices.push(...ofObject(schema, value, at));
  return choices;
}

function ofText(
  { pattern, minLength = 0, maxLength = Infinity }: Schema,
  value: string,
  at: string,
): string[] {
  return [
    ...(pattern && !new RegExp(pattern).test(value) ? [`${at} is ${value}, not ${pattern}`] : []),
    ...(value.length < minLength || value.length > maxLength ? [`${at} has ${value.length} letters`] : []),
  ];
}

function ofObject(schema: Schema, value: object, at: string): string[] {
  const { properties = {}, additionalProperties, required = [] } = schema;
  const open =
    schema['x-kubernetes-preserve-unknown-fields'] ||
    additionalProperties === true ||
    schema.type !== 'object';
  return [
    ...required.filter((name) => !(name in value)).map((name) => `${at}.${name} is missing`),
    ...Object.entries(value).flatMap(([name, one]) => {
      const member =
        properties[name] ?? (typeof additionalProperties === 'object' ? additionalProperties : null);
      if (member) return faults(member, one, `${at}.${name}`);
      return open || one === undefined ? [] : [`${at}.${name} is an unknown field`];
    }),
  ];
}

const judge = (object: KubeObject): string[] => {
  const { apiVersion: _, kind, metadata, ...rest } = object;
  return faults(SCHEMAS.get(kindOf(object))!, { apiVersion: '', kind, metadata: {}, ...rest }, kind).map(
    (fault) => `${metadata.name}: ${fault}`,
  );
};

const GROUPS = [...SCHEMAS.keys()].map((key) => key.split('/')[0]);
const theirs = Object.values(EXAMPLES)
  .flatMap((example) => objectsOf(example('shop')))
  .filter(({ apiVersion }) => GROUPS.includes(apiVersion.split('/')[0]));

test.each(Object.entries(EXAMPLES))('%s: other operators accept what is theirs', (_, example) => {
  const objects = objectsOf(example('shop')).filter((object) => SCHEMAS.has(kindOf(object)));
  expect(objects.flatMap(judge)).toEqual([]);
});

test('every kind of theirs is held against a definition, and the examples have most', () => {
  expect(theirs.filter((object) => !SCHEMAS.has(kindOf(object))).map(kindOf)).toEqual([]);
  expect([...new Set(theirs.map(({ kind }) => kind))].sort()).toEqual(
    expect.arrayContaining([
      ...['Cluster', 'Database', 'Kafka', 'KafkaNodePool', 'KafkaTopic', 'KafkaUser'],
      ...['PodMonitor', 'PrometheusRule', 'ScaledObject'],
    ]),
  );
});

test.each([
  ['an unknown field', { instancez: 3 }, 'spec.instancez is an unknown field'],
  ['a text for a number', { instances: '3' }, 'spec.instances is a string, not a integer'],
  ['a value that is none', { primaryUpdateStrategy: 'soon' }, 'spec.primaryUpdateStrategy is soon, none of'],
  ['too small a number', { instances: 0 }, 'spec.instances is 0'],
])('%s is noticed', (_, part, fault) => {
  const cluster = theirs.find(({ kind }) => kind === 'Cluster')!;
  const faultsOf = judge({ ...cluster, spec: { ...(cluster['spec'] as object), ...part } } as KubeObject);
  expect(faultsOf).toEqual([expect.stringContaining(fault)]);
});
