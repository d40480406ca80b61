import { z } from 'zod';
import type { Rule } from './shared.ts';

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly 'x-kubernetes-validations'?: readonly Rule[];
}

/**
 * Evaluates the rules of a schema where no API server does: manifests written to files reach a cluster without our
 * resources. Rules on a change (`oldSelf`) have nothing to compare with here.
 * @param at the path of the value, as its author knows it
 * @returns one sentence for each broken rule, with the path of the object that broke it
 * @throws Error when a rule uses CEL that is not supported here
 */
export function brokenRules(schema: z.ZodType, value: unknown, at: readonly string[]): string[] {
  const json = z.toJSONSchema(schema, { io: 'input', reused: 'inline', target: 'draft-07' }) as Schema;
  return judge(json, value, at);
}

function judge(schema: Schema, value: unknown, path: readonly string[]): string[] {
  if (typeof value !== 'object' || value === null) return [];
  const { items } = schema;
  if (items && Array.isArray(value))
    return value.flatMap((one, i) => judge(items, one, [...path, String(i)]));
  const broken = (schema['x-kubernetes-validations'] ?? [])
    .filter(({ rule }) => !/\boldSelf\b/.test(rule) && !holds(rule, value))
    .map(({ message }) => `${path.join('.')}: ${message}`);
  const members = [schema, ...(schema.anyOf ?? [])].flatMap((one) => Object.entries(one.properties ?? {}));
  return [
    ...broken,
    ...members.flatMap(([name, member]) =>
      judge(member, (value as Record<string, unknown>)[name], [...path, name]),
    ),
  ];
}

const FUNCTIONS = {
  has: (value: unknown) => value !== undefined,
  size: (value: { readonly length: number } | object) =>
    'length' in value ? value.length : Object.keys(value).length,
  string: String,
  quantity: (text: string) => {
    const amount = amountOf(text);
    return { compareTo: (other: { amount: number }) => Math.sign(amount - other.amount), amount };
  },
} as const;

/** The part of CEL that our rules use is valid JavaScript too, except for its functions. */
function holds(rule: string, self: unknown): boolean {
  try {
    const judgement = new Function('self', ...Object.keys(FUNCTIONS), `'use strict'; return (${rule});`);
    return judgement(self, ...Object.values(FUNCTIONS)) === true;
  } catch (cause) {
    throw new Error(`the rule cannot be judged here: ${rule}`, { cause });
  }
}

const FACTORS: Readonly<Record<string, number>> = {
  '': 1,
  m: 1e-3,
  k: 1e3,
  Ki: 2 ** 10,
  M: 1e6,
  Mi: 2 ** 20,
  G: 1e9,
  Gi: 2 ** 30,
  T: 1e12,
  Ti: 2 ** 40,
};

/** A quantity as Kubernetes writes it: 250m is 0.25, 1Ki is 1024. */
export function amountOf(quantity: string): number {
  const [, amount, unit = ''] = /^(\d+(?:\.\d+)?)([A-Za-z]*)$/.exec(quantity) ?? [];
  const factor = FACTORS[unit];
  if (amount === undefined || factor === undefined) throw new Error(`${quantity} is not a quantity`);
  return Number(amount) * factor;
}
