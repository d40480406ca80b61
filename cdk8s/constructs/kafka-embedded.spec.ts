import { expect, test } from '@jest/globals';
import { build } from '../build.ts';
import { built, platformOf } from '../testing/platforms.ts';
import { kafkaEmbedded } from './kafka-embedded.ts';

test('one broker on a volume', () => {
  expect(built((scope) => kafkaEmbedded(scope, platformOf()))).toMatchSnapshot();
});

test('clients find it from another namespace too, and a cluster is another one there', () => {
  const [shop, other] = ['shop', 'other'].map((namespace) =>
    built((scope) => kafkaEmbedded(scope, platformOf({}, { namespace }))),
  );
  expect(other).toContain('advertised.listeners=BROKER://top-clients-kafka.other.svc:9092');
  const id = (yaml: string | undefined) => /--cluster-id=([-\w]{22})\n/.exec(yaml ?? '')?.[1];
  expect(id(shop)).toBeDefined();
  expect(id(shop)).not.toBe(id(other));
});

test('another configuration restarts the broker, which reads it once', () => {
  const templateOf = (namespace: string) => {
    const set = build((scope) => kafkaEmbedded(scope, platformOf({}, { namespace }))).find(
      ({ kind }) => kind === 'StatefulSet',
    ) as unknown as { spec: { template: { metadata: { annotations: Record<string, string> } } } };
    return set.spec.template.metadata.annotations['topclients.dev/configuration'];
  };
  expect(templateOf('shop')).not.toBe(templateOf('other'));
});
