import { expect, test } from '@jest/globals';
import { OWN_ISSUER } from '../testing/platforms.ts';
import { PageViewSpec } from './page-view.ts';
import { brokenRules } from './rules.ts';
import { TopClientsSpec } from './top-clients.ts';

const platform = (spec: unknown) => brokenRules(TopClientsSpec, TopClientsSpec.parse(spec), ['topClients']);
const page = (spec: unknown) => brokenRules(PageViewSpec, PageViewSpec.parse(spec), ['pages', 'gig']);

test('the defaults break no rule, and each rule can be judged here', () => {
  expect(platform({ image: { tag: 'v1' } })).toEqual([]);
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
  const [sentence, ...others] = platform(spec);
  expect(others).toEqual([]);
  expect(sentence).toMatch(told);
});

test('without a self-view nobody’s session is bound to an address', () => {
  expect(platform({ image: { tag: 'v1' }, auth: OWN_ISSUER.auth, selfView: { enabled: false } })).toEqual([]);
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
