import { expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import { z } from 'zod';
import { BROKEN_VALUES } from '../testing/broken-values.ts';
import { readValues } from '../values.ts';
import { PageViewRules, PageViewSpec } from './page-view.ts';
import { conditionOf, rulesTemplate } from './rules-template.ts';
import type { Rule } from './shared.ts';
import { TopClientsSpec } from './top-clients.ts';

const refusal = (values: object): string[] => {
  try {
    readValues(
      ['image: { tag: v1 }\ntopClients: { profile: demo }', stringify(values)].map((text) => ({
        file: 'values.yaml',
        text,
      })),
      { namespace: 'shop', capabilities: { keda: false, monitoring: false } },
    );
  } catch (err) {
    return (err as Error).message.split('\n');
  }
  return [];
};

test.each(BROKEN_VALUES)('%s', (sentence, values) => {
  const [told, ...others] = refusal(values);
  expect(others).toEqual([]);
  expect(told).toContain(sentence);
});

test('every rule that values can break has values that break it', () => {
  const messages = new Set<string>();
  const schemas = [TopClientsSpec, PageViewSpec].map((schema) =>
    z.toJSONSchema(schema, { io: 'input', reused: 'inline', target: 'draft-07' }),
  );
  JSON.stringify([schemas, PageViewRules], (keyword, value) => {
    if (keyword === 'x-kubernetes-validations')
      for (const { rule, message } of value as Rule[]) if (!rule.includes('oldSelf')) messages.add(message);
    return value;
  });
  expect(messages.size).toBeGreaterThan(30);
  const untried = [...messages].filter(
    (message) => !BROKEN_VALUES.some(([sentence]) => message.startsWith(sentence.replace(/^[^ ]*: /, ''))),
  );
  expect(untried).toEqual([]);
});

const SCHEMA = z.toJSONSchema(
  z.strictObject({
    mode: z.enum(['a', 'b']).default('a'),
    count: z.int().default(3),
    size: z.string().default('1Gi'),
    names: z.array(z.string()).default([]),
    on: z.boolean().optional(),
    inner: z.strictObject({ key: z.string().optional() }).prefault({}),
  }),
  { io: 'input', target: 'draft-07' },
);

test.each([
  [
    "self.mode != 'a' || self.count > 1",
    '(or (ne (dig "mode" "a" $v) "a") (gt (float64 (dig "count" 3 $v)) 1.0))',
  ],
  ['!has(self.on) || !self.on', '(or (not (hasKey $v "on")) (not (dig "on" "" $v)))'],
  ['has(self.inner.key)', '(hasKey (dig "inner" (dict) $v) "key")'],
  ['size(self.names) > 0', '(gt (len (dig "names" (list ) $v) | float64) 0.0)'],
  ["self.size.startsWith('1')", '(hasPrefix "1" (dig "size" "1Gi" $v))'],
  ["self.mode in ['a', 'b']", '(has (dig "mode" "a" $v) (list "a" "b"))'],
  [
    'self.count * 3 <= self.count + 2',
    '(le (mulf (float64 (dig "count" 3 $v)) 3.0) (addf (float64 (dig "count" 3 $v)) 2.0))',
  ],
  [
    'has(self.on) ? self.on : has(self.mode)',
    '(or (and (hasKey $v "on") (dig "on" "" $v)) (and (not (hasKey $v "on")) true))',
  ],
  [
    'self.count > (has(self.on) ? 1 : 2)',
    '(gt (float64 (dig "count" 3 $v)) (ternary 1.0 2.0 (not (not (hasKey $v "on")))))',
  ],
  [
    'has(self.on) == has(self.inner.key)',
    '(eq (not (hasKey $v "on")) (not (hasKey (dig "inner" (dict) $v) "key")))',
  ],
])('the rule %s is said in a template', (rule, condition) => {
  expect(conditionOf(rule, SCHEMA, '$v')).toBe(condition);
});

test.each([
  'self.names.all(name, name.size() > 2)',
  'self.mode',
  'self.mode == 1',
  'self.count > 1 self.count < 3',
  '(self.count > 1',
  'has(self.on) ? self.on',
  'has(self.on) ? self.on : self.count',
  'duration(self.size) > 1',
  'self.mode == "a" # b',
])('the rule %s is an error, never a pass', (rule) => {
  expect(() => conditionOf(rule, SCHEMA, '$v')).toThrow('cannot be said in a template');
});

test('a rule on a change is left out, for there is nothing to compare with', () => {
  const schema = z
    .strictObject({ mode: z.string().default('a') })
    .meta({ 'x-kubernetes-validations': [{ rule: 'self.mode == oldSelf.mode', message: 'fixed' }] });
  expect(rulesTemplate('x', schema)).not.toContain('fixed');
});
