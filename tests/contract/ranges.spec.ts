import { expect, test } from '@jest/globals';
import { z } from 'zod';
import { ChartValues } from '#cdk8s/api/chart-values.ts';
import { PageViewSpec } from '#cdk8s/api/page-view.ts';
import { TopClientsSpec } from '#cdk8s/api/top-clients.ts';
import { settledPage } from '#cdk8s/platform.ts';
import { objectsOf, podOf, wanted } from '#cdk8s/testing/platforms.ts';
import type { Setting } from '#platform/config.ts';
import { ROLES } from '../../services/roles.ts';

/*
 * A number that a resource says reaches a role as a setting. Here all numbers of both resources are set to their least, and
 * then to their most; every setting that follows must have the same bounds, and the same default.
 */

/** Settings that take more than the resource gives, and have another default. */
const WIDER: Readonly<Record<string, string>> = {
  'migrate TC_PARTITIONS': 'a topic that others made may have more than we would make',
  'seed TC_SELLERS': 'started by hand it fills a whole demo, and the operator only enough to look at',
};

const BOUNDS = ['minimum', 'maximum', 'default'] as const;
type Bound = (typeof BOUNDS)[number];
type Bounds = Readonly<Partial<Record<Bound, number>>>;
interface Schema extends Bounds {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
}
const schemaOf = (schema: z.ZodType): Schema =>
  z.toJSONSchema(schema, { io: 'input', reused: 'inline', unrepresentable: 'any' }) as Schema;

/** An object with all its numbers at a bound; undefined where there is none. */
function numbersAt(bound: Bound, { properties, required, ...schema }: Schema): unknown {
  if (BOUNDS.every((one) => typeof schema[one] === 'number')) return schema[bound];
  if (properties === undefined || required !== undefined) return undefined;
  const members = Object.entries(properties)
    .map(([name, property]) => [name, numbersAt(bound, property)] as const)
    .filter(([, numbers]) => numbers !== undefined);
  return members.length === 0 ? undefined : Object.fromEntries(members);
}

/** The numbers that roles are given by resources with all numbers at a bound, by role and setting. */
function givenAt(bound: Bound): ReadonlyMap<string, number> {
  const { demoData, tracing, ...numbers } = numbersAt(bound, schemaOf(TopClientsSpec)) as Record<
    string,
    object
  >;
  const spec = TopClientsSpec.parse({
    ...numbers,
    profile: 'demo',
    demoData: { ...demoData, enabled: true },
    tracing: { ...tracing, endpoint: 'http://collector:4318' },
  });
  const page = settledPage('gig', PageViewSpec.parse(numbersAt(bound, schemaOf(PageViewSpec))));
  const { platform, ...around } = wanted();
  const objects = objectsOf({ ...around, platform: { ...platform, spec }, pages: [page] });
  const containers = objects.flatMap((object) => podOf(object)?.spec.containers ?? []);
  return new Map(
    containers.flatMap(({ args = [], env = [] }) =>
      env
        .filter(({ name, value }) => /^(TC|OTEL)_/.test(name) && Number.isFinite(Number(value)))
        .map(({ name, value }) => [`${args[0]} ${name}`, Number(value)] as const),
    ),
  );
}

async function boundsOfSetting(key: string): Promise<Bounds> {
  const [name, env] = key.split(' ') as [string, string];
  const { role } = await ROLES[name]!();
  return schemaOf(Object.values(role.settings).find((one: Setting) => one.env === env)!.schema);
}

const [least, most, otherwise] = BOUNDS.map(givenAt) as [
  ReadonlyMap<string, number>,
  ReadonlyMap<string, number>,
  ReadonlyMap<string, number>,
];
const following = [...least.keys()].filter((key) => least.get(key) !== most.get(key));

test.each(following)('%s takes what a resource can say', async (key) => {
  const taken = await boundsOfSetting(key);
  const [minimum, maximum] = [least.get(key)!, most.get(key)!];
  if (key in WIDER) {
    expect(taken.minimum).toBeLessThanOrEqual(minimum);
    expect(taken.maximum).toBeGreaterThanOrEqual(maximum);
  } else expect(taken).toMatchObject({ minimum, maximum, default: otherwise.get(key) });
});

test('all roles with such numbers are looked at', () => {
  const known = ['outbox-relay TC_ROUND_MS', 'outbox-relay TC_SHARDS', 'page-server TC_PAGE_DEADLINE_MS'];
  expect(following).toEqual(expect.arrayContaining([...known, ...Object.keys(WIDER)]));
});

test("what the chart says of the operator is the operator's own", async () => {
  const { operator } = schemaOf(ChartValues).properties!;
  const { minimum, maximum, default: seconds } = operator!.properties!['resyncSeconds']!;
  expect(await boundsOfSetting('operator TC_RESYNC_SECONDS')).toMatchObject({
    ...{ minimum, maximum },
    default: seconds,
  });
});
