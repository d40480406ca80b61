import { expect, test } from '@jest/globals';
import { build } from '../build.ts';
import { pageOf, platformOf } from '../testing/platforms.ts';
import { outboxRelay } from './outbox-relay.ts';
import { pageServer, selfView } from './page-server.ts';
import { projector } from './projector.ts';
import { topClients } from './top-clients.ts';
import { tracing } from './tracing.ts';

test('without an endpoint no role is told anything', () => {
  expect(tracing(platformOf())).toEqual([]);
});

test('a percentage becomes the share that the roles take', () => {
  const shareOf = (wanted: object) =>
    tracing(platformOf({ tracing: { endpoint: 'http://collector.monitoring:4318', ...wanted } }));
  expect(shareOf({})).toEqual([
    { name: 'OTEL_EXPORTER_OTLP_ENDPOINT', value: 'http://collector.monitoring:4318' },
    { name: 'OTEL_TRACES_SAMPLER_ARG', value: '0.01' },
  ]);
  expect(shareOf({ samplePercent: 0.1 })[1]!.value).toBe('0.001');
});

test.each(Object.entries({ topClients, outboxRelay, selfView, projector, pageServer }))(
  'the pods of %s are told',
  (_, construct) => {
    const platform = platformOf({ tracing: { endpoint: 'http://collector:4318' } });
    const page = pageOf('gig');
    const objects = build((scope) =>
      construct(scope, platform, page, { delivery: 'asynchronous', version: 1 }),
    );
    const workload = objects.find(({ kind }) => kind === 'Deployment') as unknown as {
      spec: { template: { spec: { containers: [{ env: { name: string; value?: string }[] }] } } };
    };
    const [{ env }] = workload.spec.template.spec.containers;
    expect(env).toContainEqual({ name: 'OTEL_EXPORTER_OTLP_ENDPOINT', value: 'http://collector:4318' });
  },
);
