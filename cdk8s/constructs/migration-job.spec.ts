import { expect, test } from '@jest/globals';
import { build } from '../build.ts';
import type { SwitchedTo } from '../platform.ts';
import { built, pageOf, platformOf } from '../testing/platforms.ts';
import { databaseJob, pageJob, shownViewJob, topicJob } from './migration-job.ts';

const view = { delivery: 'asynchronous', version: 2 } as const;

test('jobs for the topic, the source, the self-view, a page, and a view of it', () => {
  const platform = platformOf();
  expect(
    built((scope) => {
      topicJob(scope, platform);
      databaseJob(scope, platform, 'source');
      databaseJob(scope, platform, 'self-view');
      pageJob(scope, platform, pageOf('gig'), null);
      pageJob(scope, platform, pageOf('gig'), view);
    }),
  ).toMatchSnapshot();
});

test('another image or setting is another job; the same again, or another log level, is not', () => {
  const nameOf = (image: string, spec: object = {}) =>
    build((scope) => databaseJob(scope, { ...platformOf(spec), image }, 'source'))[0]!.metadata.name;
  expect(nameOf('a:1', { logLevel: 'debug' })).toBe(nameOf('a:1'));
  const priority = { scheduling: { priorityClassName: 'high' } };
  expect(new Set([nameOf('a:1'), nameOf('a:2'), nameOf('a:1', priority)]).size).toBe(3);
});

test('a view that is shown again after another is another job; the same again is not', () => {
  const nameOf = (shown: SwitchedTo, job: typeof pageJob | typeof shownViewJob = shownViewJob) =>
    build((scope) => job(scope, platformOf(), pageOf('gig'), shown))[0]!.metadata.name;
  const [first, again] = ['2026-11-29T10:00:00Z', '2026-11-29T11:00:00Z'].map((since) => ({
    ...view,
    since,
  }));
  expect(nameOf(first!)).toBe(nameOf({ ...first! }));
  expect(new Set([nameOf(first!), nameOf(again!), nameOf(first!, pageJob)]).size).toBe(3);
});

test('no job for a topic that is an object, or somebody else’s', () => {
  const external = { brokers: ['a.example.com:9092'], createTopic: false };
  for (const kafka of [
    { mode: 'strimzi', replication: 3 },
    { mode: 'external', external },
  ]) {
    expect(built((scope) => topicJob(scope, platformOf({ kafka })))).toBe('');
  }
});
