import { expect, test } from '@jest/globals';
import { OWN_ISSUER } from '../testing/platforms.ts';
import { PageViewSpec } from './page-view.ts';
import { brokenRules } from './rules.ts';
import { hasDemoIssuer, replicationOf, TopClientsSpec } from './top-clients.ts';

const platform = (spec: unknown) => brokenRules(TopClientsSpec, TopClientsSpec.parse(spec), ['topClients']);
const page = (spec: unknown) => brokenRules(PageViewSpec, PageViewSpec.parse(spec), ['pages', 'gig']);

test('a demo breaks no rule, and each rule can be judged here', () => {
  expect(platform({ profile: 'demo', image: { tag: 'v1' } })).toEqual([]);
  expect(page({})).toEqual([]);
});

test.each([
  ['kafka of three brokers in one', { kafka: { embedded: { replicas: 3 } } }, /topClients\.kafka: embedded/],
  [
    'an external store without a secret',
    { postgres: { mode: 'external' } },
    /postgres\.external\.existingSecret/,
  ],
  ['an external Kafka without brokers', { kafka: { mode: 'external' } }, /kafka\.external\.brokers/],
  [
    'no issuer at all',
    { auth: { demoIssuer: false }, publicUrls: { selfView: 'https://my.example.com' } },
    /auth\.issuer/,
  ],
  ...[{}, { selfView: 'http://my.example.com' }].map(
    (publicUrls) =>
      [
        `a self-view at ${JSON.stringify(publicUrls)} for sellers of an issuer of one's own`,
        { ...OWN_ISSUER, publicUrls },
        /topClients: set publicUrls\.selfView to the https address/,
      ] as const,
  ),
  [
    'keys that one failed request would make too old',
    { auth: { keys: { refreshSeconds: 600, maxAgeSeconds: 900 } } },
    /auth\.keys: auth\.keys\.maxAgeSeconds must be at least twice/,
  ],
  [
    'a request above the limit',
    { source: { resources: { requests: { memory: '1Gi' }, limits: { memory: '512Mi' } } } },
    /topClients\.source\.resources: requests\.memory/,
  ],
])('%s is told with its place and what to change', (_, spec, told) => {
  const [sentence, ...others] = platform({ profile: 'demo', ...spec });
  expect(others).toEqual([]);
  expect(sentence).toMatch(told);
});

test('without a self-view nobody’s session is bound to an address', () => {
  expect(platform({ ...PRODUCTION, publicUrls: {}, selfView: { enabled: false } })).toEqual([]);
});

const PRODUCTION = {
  ...OWN_ISSUER,
  kafka: { mode: 'strimzi' },
  postgres: { mode: 'cnpg' },
};

test('production needs stores and an issuer, and nothing else', () => {
  expect(platform(PRODUCTION)).toEqual([]);
});

test('nothing at all is no production, and every reason is told with the way to a demo', () => {
  const told = platform({});
  expect(told.map((one) => one.replace(/^topClients: /, ''))).toEqual([
    'profile production refuses an embedded Kafka, which is one broker for development; set kafka.mode to strimzi or external, or profile to demo',
    'profile production refuses an embedded PostgreSQL, which is one server for development; set postgres.mode to cnpg or external, or profile to demo',
    expect.stringMatching(
      /^set auth\.issuer and auth\.jwksUrl, .*; only profile demo has an issuer of its own$/,
    ),
    expect.stringMatching(/^set publicUrls\.selfView/),
  ]);
});

test.each([
  ['the issuer of the demo', { auth: { demoIssuer: true } }, /refuses auth\.demoIssuer/],
  ['made-up data', { demoData: { enabled: true } }, /refuses demoData/],
  ['one pod of the source', { source: { replicas: 1 } }, /needs two pods of the source.* source\.replicas/],
  [
    'a source that scales down to one pod',
    { source: { autoscaling: { mode: 'cpu', minReplicas: 1 } } },
    /needs two pods of the source.* source\.autoscaling\.minReplicas/,
  ],
  [
    'a self-view that scales down to one pod',
    { selfView: { autoscaling: { mode: 'cpu', minReplicas: 1 } } },
    /needs two pods of the self-view.* selfView\.autoscaling\.minReplicas/,
  ],
  ['one pod of the relay', { relay: { replicas: 1 } }, /needs two pods of the relay/],
  ['one pod of the self-view', { selfView: { replicas: 1 } }, /needs two pods of the self-view/],
  [
    'one broker',
    { kafka: { mode: 'strimzi', strimzi: { replicas: 1, minInsyncReplicas: 1 } } },
    /needs two brokers/,
  ],
  ['one instance', { postgres: { mode: 'cnpg', cnpg: { instances: 1 } } }, /needs two instances/],
])('%s is refused in production', (_, part, told) => {
  const [sentence, ...others] = platform({ ...PRODUCTION, ...part });
  expect(others).toEqual([]);
  expect(sentence).toMatch(told);
  expect(sentence).toMatch(/^topClients: profile production .*, or profile to demo$/);
});

test.each([
  ['a demo', {}, true],
  ['a demo without it', { auth: OWN_ISSUER.auth }, false],
  ['a demo with an issuer of your own', { auth: { ...OWN_ISSUER.auth, demoIssuer: undefined } }, false],
])('%s: the issuer runs as the rules have it', (_, part, runs) => {
  const spec = TopClientsSpec.parse({ profile: 'demo', ...part });
  expect(hasDemoIssuer(spec)).toBe(runs);
  // The self-view needs an address exactly where sellers come from elsewhere.
  expect(brokenRules(TopClientsSpec, spec, ['spec']).length > 0).toBe(!runs);
});

test.each([
  [{}, 1],
  [{ mode: 'strimzi' }, 3],
  [{ mode: 'strimzi', strimzi: { replicas: 2 } }, 2],
  [{ mode: 'external' }, 3],
  [{ mode: 'strimzi', replication: 2 }, 2],
])('with Kafka %j a topic has %i copies', (kafka, copies) => {
  expect(replicationOf(TopClientsSpec.parse({ kafka }).kafka)).toBe(copies);
});

test('a page is judged by its own rules', () => {
  expect(page({ parallel: true })).toEqual([
    'pages.gig: parallel belongs to delivery synchronous; remove it or set delivery: synchronous',
  ]);
});

test('a rule beyond what is understood here is an error, never a pass', () => {
  const schema = PageViewSpec.unwrap().meta({
    'x-kubernetes-validations': [{ rule: 'self.delivery.matches("a*")', message: 'never' }],
  });
  expect(() => brokenRules(schema, PageViewSpec.parse({}), [])).toThrow('cannot be judged here');
});
