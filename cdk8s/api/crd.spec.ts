import { expect, test } from '@jest/globals';
import { z } from 'zod';
import { PAGE_NAMES } from '#contracts/pages.ts';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { PAGES } from '#pages/index.ts';
import { customResourceDefinitions, structuralSchema } from './crd.ts';
import { PageViewSpec } from './page-view.ts';
import { brokenRules } from './rules.ts';
import { TopClientsSpec } from './top-clients.ts';

type Schema = Record<string, unknown>;

/** Every schema below this one, with its path. */
function everySchema(schema: Schema, path: string): [path: string, schema: Schema][] {
  const members = (schema['properties'] ?? {}) as Record<string, Schema>;
  const below = [
    ...Object.entries(members).map(([name, member]) => [`${path}.${name}`, member] as const),
    ...['items', 'additionalProperties'].flatMap((keyword) =>
      schema[keyword] ? [[`${path}[]`, schema[keyword] as Schema] as const] : [],
    ),
  ];
  return [[path, schema], ...below.flatMap(([at, one]) => everySchema(one, at))];
}

const definitions = customResourceDefinitions().map((one) => {
  // biome-ignore lint/suspicious/noExplicitAny: a definition is as deep as it is
  const { names, versions } = one['spec'] as any;
  return {
    name: names.kind as string,
    names,
    version: versions[0],
    schema: versions[0].schema.openAPIV3Schema,
  };
});

test.each(definitions)('everything in the spec and status of $name says what it is', ({ schema }) => {
  const silent = everySchema(schema, '').filter(
    ([path, { description }]) => /^\.(spec|status)/.test(path) && !path.endsWith('[]') && !description,
  );
  expect(silent.map(([path]) => path)).toEqual([]);
});

test.each(definitions)('$name is structural: a type everywhere, and nothing referenced', ({ schema }) => {
  expect(JSON.stringify(schema)).not.toContain('$ref');
  const untyped = everySchema(schema, '').filter(
    ([, one]) => one['type'] === undefined && !one['x-kubernetes-int-or-string'],
  );
  expect(untyped.map(([path]) => path)).toEqual([]);
});

const schemaOf = (kind: string) => definitions.find(({ name }) => name === kind)!.schema;

test('the API server fills a PageView in as the operator does', () => {
  expect(schemaOf('PageView').properties.spec.default).toEqual(PageViewSpec.parse({}));
});

test('the API server fills a TopClients in as the operator does, part by part', () => {
  const { properties } = schemaOf('TopClients').properties.spec;
  const defaults = Object.entries<Schema>(properties)
    .filter(([, property]) => property['default'] !== undefined)
    .map(([name, property]) => [name, property['default']]);
  expect(Object.fromEntries(defaults)).toEqual(TopClientsSpec.parse({}));
});

test('no default breaks a rule beside it, for the API server refuses such a definition', () => {
  const broken = {
    PageView: brokenRules(PageViewSpec, PageViewSpec.parse({}), ['spec']),
    TopClients: brokenRules(TopClientsSpec, TopClientsSpec.parse({}), ['spec']),
  };
  for (const [kind, sentences] of Object.entries(broken)) {
    const { properties, required = [] } = schemaOf(kind);
    const isFilledIn = properties.spec.default !== undefined;
    expect([kind, isFilledIn, required]).toEqual([
      kind,
      sentences.length === 0,
      sentences.length === 0 ? [] : ['spec'],
    ]);
    // Below the spec every part has its default.
    expect(sentences.filter((sentence) => !sentence.startsWith('spec: '))).toEqual([]);
  }
});

test('what is left out of a part is filled in, what is given stays', () => {
  const given = { autoscaling: { maxReplicas: 3 }, server: { resources: { requests: { cpu: 1 } } } };
  expect(PageViewSpec.parse(given)).toMatchObject({
    autoscaling: { minReplicas: 1, maxReplicas: 3 },
    server: { resources: { requests: { cpu: '1', memory: '256Mi' }, limits: { memory: '256Mi' } } },
  });
});

test('a page is known to the definition exactly when the image knows it', () => {
  expect([...PAGE_NAMES].sort()).toEqual(Object.keys(PAGES).sort());
});

test('the topic has the same number of partitions, however it is created', () => {
  expect(TopClientsSpec.parse({}).kafka.partitions).toBe(SELLER_EVENTS.defaultPartitions);
});

test('what a definition cannot say is refused, with its place', () => {
  const schema = (member: z.ZodType) => () => structuralSchema(z.strictObject({ member }));
  expect(schema(z.union([z.string().max(2), z.boolean()]))).toThrow('the schema.member is a choice of types');
  expect(schema(z.union([z.string(), z.boolean()]))).toThrow('the schema.member has not exactly one type');
  expect(schema(z.literal('one'))).toThrow('the schema.member uses const');
  expect(schema(z.unknown())).toThrow('the schema.member has not exactly one type');
});

test('a quantity may be written as a number', () => {
  const { schema } = definitions.find(({ name }) => name === 'PageView')!;
  const { cpu } =
    schema.properties.spec.properties.server.properties.resources.properties.requests.properties;
  expect(cpu).toMatchObject({ 'x-kubernetes-int-or-string': true, default: '50m' });
});

test('short names take nobody else’s, and a scale goes to the projectors', () => {
  expect(definitions.map(({ names }) => names.shortNames)).toEqual([['tc'], ['tpv']]);
  expect(definitions.map(({ version }) => version.subresources)).toEqual([
    { status: {} },
    {
      status: {},
      scale: {
        specReplicasPath: '.spec.replicas',
        statusReplicasPath: '.status.replicas',
        labelSelectorPath: '.status.selector',
      },
    },
  ]);
});
