import { expect, test } from '@jest/globals';
import { build } from '../build.ts';
import { built, pageOf, platformOf } from '../testing/platforms.ts';
import { autoscaler, autoscalerAccess } from './autoscaler.ts';

const view = { delivery: 'hybrid', version: 3 } as const;
const keda = { keda: true };
const strimzi = platformOf({ kafka: { mode: 'strimzi', replication: 3 } }, keda);

test('projectors are scaled by the lag of their view’s group', () => {
  const page = pageOf('gig', {
    delivery: 'hybrid',
    autoscaling: { minReplicas: 2, maxReplicas: 8, lagThreshold: 500, scaleDownStabilizationSeconds: 60 },
  });
  expect(built((scope) => autoscaler(scope, platformOf({}, keda), page, view))).toMatchSnapshot();
});

test('never above the partitions', () => {
  const platform = platformOf({ kafka: { partitions: 3 } }, keda);
  const page = pageOf('gig', { autoscaling: { minReplicas: 5, maxReplicas: 9 } });
  const [{ spec }] = build((scope) => autoscaler(scope, platform, page, view)) as unknown as [
    { spec: { minReplicaCount: number; maxReplicaCount: number } },
  ];
  expect(spec).toMatchObject({ minReplicaCount: 3, maxReplicaCount: 3 });
});

test('nothing without KEDA, or where the page scales otherwise', () => {
  expect(built((scope) => autoscaler(scope, platformOf(), pageOf('gig'), view))).toBe('');
  for (const mode of ['builtin', 'none']) {
    const page = pageOf('gig', { autoscaling: { mode } });
    expect(built((scope) => autoscaler(scope, strimzi, page, view))).toBe('');
    expect(built((scope) => autoscalerAccess(scope, strimzi, page))).toBe('');
  }
});

test('with Strimzi it signs in as an account of its own', () => {
  const page = pageOf('gig');
  expect(
    built((scope) => {
      autoscalerAccess(scope, strimzi, page);
      autoscaler(scope, strimzi, page, view);
    }),
  ).toMatchSnapshot();
});

test('with an external Kafka it signs in as the roles do, and trusts the same certificates', () => {
  const external = {
    brokers: ['a.example.com:9094', 'b.example.com:9094'],
    tls: { existingSecret: 'ca', caKey: 'root.pem' },
    sasl: { mechanism: 'plain', existingSecret: 'account' },
  };
  const platform = platformOf({ kafka: { mode: 'external', external } }, keda);
  const page = pageOf('gig');
  const [authentication, scaled] = build((scope) => {
    autoscalerAccess(scope, platform, page);
    autoscaler(scope, platform, page, view);
  }) as unknown as [Record<'spec', unknown>, { spec: { triggers: unknown[] } }];
  expect(authentication.spec).toEqual({
    secretTargetRef: [
      { parameter: 'ca', name: 'ca', key: 'root.pem' },
      { parameter: 'username', name: 'account', key: 'username' },
      { parameter: 'password', name: 'account', key: 'password' },
    ],
  });
  expect(scaled.spec.triggers).toMatchObject([
    {
      metadata: {
        tls: 'enable',
        sasl: 'plaintext',
        bootstrapServers: 'a.example.com:9094,b.example.com:9094',
      },
      authenticationRef: { name: 'top-clients-projector-gig' },
    },
  ]);
});
