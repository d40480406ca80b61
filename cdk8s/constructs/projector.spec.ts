import { expect, test } from '@jest/globals';
import { build } from '../build.ts';
import { built, pageOf, platformOf } from '../testing/platforms.ts';
import { projector } from './projector.ts';

const view = { delivery: 'asynchronous', version: 1 } as const;
const replicasOf = (platform: ReturnType<typeof platformOf>, spec: unknown) => {
  const [deployment] = build((scope) => projector(scope, platform, pageOf('gig', spec), view));
  return (deployment as unknown as { spec: { replicas?: number } }).spec.replicas;
};

test('the projectors of one view and their budget', () => {
  const page = pageOf('gig', { replicas: 3, projector: { sessionTimeoutMs: 10_000 } });
  expect(built((scope) => projector(scope, platformOf(), page, view))).toMatchSnapshot();
});

test('there are as many as the page says, but not more than the topic has partitions', () => {
  expect(replicasOf(platformOf(), { replicas: 4 })).toBe(4);
  expect(replicasOf({ ...platformOf({ kafka: { partitions: 6 } }) }, { replicas: 9 })).toBe(6);
});

test('what KEDA decides is left to KEDA, and nothing else is', () => {
  const keda = platformOf({}, { keda: true });
  expect(replicasOf(keda, { replicas: 4 })).toBeUndefined();
  for (const mode of ['builtin', 'none']) {
    expect(replicasOf(keda, { replicas: 4, autoscaling: { mode } })).toBe(4);
  }
  expect(replicasOf(platformOf(), { replicas: 4, autoscaling: { mode: 'keda' } })).toBeUndefined();
});

test('a single one has no budget, unless an autoscaler may add others', () => {
  const one = pageOf('gig');
  expect(built((scope) => projector(scope, platformOf(), one, view))).not.toContain('DisruptionBudget');
  expect(built((scope) => projector(scope, platformOf({}, { keda: true }), one, view))).toContain(
    'DisruptionBudget',
  );
});
