import { expect, test } from '@jest/globals';
import { growthJob, republishJob, restoredJob } from '../manifests.ts';
import { platformOf } from '../testing/platforms.ts';

const env = (job: ReturnType<typeof growthJob>) =>
  Object.fromEntries(
    // biome-ignore lint/suspicious/noExplicitAny: an object is as deep as it is
    (job['spec'] as any).template.spec.containers[0].env.map(({ name, value }: Record<string, string>) => [
      name,
      value,
    ]),
  );

test('a growth speaks with the source and Kafka, a request with the source alone', () => {
  expect(growthJob(platformOf(), 24)).toMatchSnapshot();
  expect(republishJob(platformOf(), 'after the loss')).toMatchSnapshot();
});

test('the topic is given partitions where it is ours, and waited for where it is not', () => {
  const grows = (kafka: object) => env(growthJob(platformOf({ kafka }), 24))['TC_GROW_TOPIC'];
  const external = { brokers: ['a.example.com:9092'] };
  expect(grows({})).toBe('true');
  expect(grows({ mode: 'strimzi', replication: 3 })).toBe('false');
  expect(grows({ mode: 'external', external })).toBe('true');
  expect(grows({ mode: 'external', external: { ...external, createTopic: false } })).toBe('false');
});

test('another request is another job, and the same one is the same', () => {
  const nameOf = (request: string) => republishJob(platformOf(), request).metadata.name;
  expect(nameOf('a')).toBe(nameOf('a'));
  expect(nameOf('a')).not.toBe(nameOf('b'));
});

test('after a restore the source is written as the source is, and the topic is read', () => {
  const job = restoredJob(platformOf({ postgres: { mode: 'cnpg' } }), 'to noon');
  expect(env(job)).toMatchObject({
    TC_DATABASE_URL: expect.stringContaining('/source'),
    TC_KAFKA_BROKERS: expect.any(String),
  });
  expect(JSON.stringify(job)).toContain('"key":"username","name":"top-clients-postgres-source"');
  expect(JSON.stringify(job)).toContain('"after-restore"');
  expect(job.metadata.name).not.toBe(
    restoredJob(platformOf({ postgres: { mode: 'cnpg' } }), 'to one').metadata.name,
  );
});
