import { describe, expect, test } from '@jest/globals';
import { readValues, ValuesError } from './values.ts';

const around = { namespace: 'shop', image: undefined, capabilities: { keda: false, monitoring: false } };
const read = (...texts: string[]) =>
  readValues(
    ['topClients: { profile: demo }', ...texts].map((text, i) => ({ file: `${i}.yaml`, text })),
    around,
  );
const complaint = (...texts: string[]) => {
  try {
    read('image: { tag: v1 }', ...texts);
  } catch (err) {
    if (err instanceof ValuesError) return err.message;
    throw err;
  }
  return 'none';
};

test('later files lie over earlier ones, map by map', () => {
  const { platform } = read(
    'image: { tag: v1 }\ntopClients: { relay: { replicas: 3, shards: 2 } }',
    'topClients: { relay: { replicas: 5 } }',
  );
  expect(platform.spec.relay).toMatchObject({ replicas: 5, shards: 2 });
});

test('pages that are null or absent are not deployed', () => {
  const { pages } = read('image: { tag: v1 }\npages: { gig: {}, user: {} }', 'pages: { user: null }');
  expect(pages.map(({ name }) => name)).toEqual(['gig']);
});

describe('the image', () => {
  test.each([
    ['image: { repository: r/a, tag: v1 }', 'r/a:v1'],
    ['image: { repository: r/a, tag: v1, digest: "sha256:DIGEST" }', 'r/a@sha256:DIGEST'],
    ['image: { tag: v1 }\ntopClients: { image: { repository: r/b, tag: v2 } }', 'r/b:v2'],
  ])('of %s is %s', (text, image) => {
    const digest = 'a'.repeat(64);
    expect(read(text.replace('DIGEST', digest)).platform.image).toBe(image.replace('DIGEST', digest));
  });

  test('is pulled as the values say, wherever they say it', () => {
    const { platform } = read('image: { tag: v1, pullPolicy: Always, pullSecrets: [registry] }');
    expect(platform.spec.image).toMatchObject({ pullPolicy: 'Always', pullSecrets: ['registry'] });
  });

  test('has to be named', () => {
    expect(() => read('image: { tag: "" }')).toThrow(
      'image.tag: name the version to run, here or by --image',
    );
  });
});

describe('what is wrong is named, with what to change', () => {
  test.each([
    ['an unknown value', 'topClients: { kafak: {} }', /^topClients: .*"kafak"; correct or remove it$/],
    ['a wrong type', 'topClients: { relay: { replicas: many } }', /^topClients\.relay\.replicas: .*number/],
    ['a page nobody knows', 'pages: { gigs: {} }', /^pages\.gigs\.external: .*expected/],
    [
      'a broken rule',
      'topClients: { kafka: { embedded: { replicas: 3 } } }',
      /^topClients\.kafka: embedded Kafka is one broker/,
    ],
    [
      'a broken rule of a page',
      'pages: { gig: { parallel: true } }',
      /^pages\.gig: parallel belongs to delivery synchronous/,
    ],
    [
      'more projectors than partitions',
      'topClients: { kafka: { partitions: 4 } }\npages: { gig: {} }',
      /^pages\.gig\.autoscaling\.maxReplicas is 6, but .* lower it$/,
    ],
    [
      'one server of a page in production',
      'topClients: { profile: production }\npages: { gig: { server: { replicas: 1 } } }',
      /^pages\.gig\.server\.replicas is 1, but profile production needs two at least/m,
    ],
    ['no YAML', '{', /^2\.yaml is not YAML/],
  ])('%s', (_, text, told) => {
    expect(complaint(text)).toMatch(told);
  });

  test('every one of them', () => {
    const lines = complaint('topClients: { kafak: {} }\npages: { gig: { dilevery: hybrid } }').split('\n');
    expect(lines).toHaveLength(2);
  });

  test('a namespace that cannot be one', () => {
    expect(() => readValues([], { ...around, namespace: 'Shop_1' })).toThrow(
      'Shop_1 is not the name of a namespace',
    );
  });
});
