import { randomUUID } from 'node:crypto';
import type { Client, NewClient } from '#contracts/client.ts';
import type { Problem } from '#contracts/problems.ts';
import { legible } from '#contracts/text.ts';

export const FIELDS = ['name', 'logo', 'industry', 'description', 'from', 'to'] as const;
export type Field = (typeof FIELDS)[number];

/** What stands in the fields, exactly as typed. */
export type Values = Readonly<Record<Field, string>>;
export type FieldErrors = Readonly<Partial<Record<Field, string>>>;

export const LABELS: Readonly<Record<Field, string>> = {
  name: 'Brand',
  logo: 'Logo',
  industry: 'Industry',
  description: 'What you did',
  from: 'From',
  to: 'Until',
};

export const NOTHING_TYPED: Values = {
  name: '',
  logo: '',
  industry: '',
  description: '',
  from: '',
  to: '',
};

/** What a rendered form carries unseen: the version it was made from, and a key that makes repetition harmless. */
export interface Terms {
  readonly version: number;
  readonly key: string;
}

/** Terms of a form that is rendered now. */
export const newTerms = (version: number): Terms => ({ version, key: randomUUID() });

/** A parsed body or query: members may be missing, or repeated by hand. */
export type Sent = Readonly<Record<string, unknown>>;

export const textOf = (sent: Sent, name: string): string | undefined =>
  typeof sent[name] === 'string' ? sent[name] : undefined;

export const isAnythingTyped = (values: Values): boolean => FIELDS.some((field) => values[field] !== '');

/** The fields of a form or an address; browsers send line ends as CR LF, which would count twice. */
export function valuesOf(sent: Sent): Values {
  const value = (field: Field) => (textOf(sent, field) ?? '').replaceAll('\r\n', '\n');
  return {
    name: value('name'),
    logo: value('logo'),
    industry: value('industry'),
    description: value('description'),
    from: value('from'),
    to: value('to'),
  };
}

const KEY = /^[0-9a-f-]{36}$/;

/** The terms of a sent form; undefined when they were tampered with or cut off. */
export function termsOf(sent: Sent): Terms | undefined {
  const version = textOf(sent, 'version') ?? '';
  const key = textOf(sent, 'key') ?? '';
  return /^\d{1,15}$/.test(version) && KEY.test(key) ? { version: Number(version), key } : undefined;
}

/** The fields as the form shows them: without what can be neither seen there nor saved. */
export const valuesOfClient = (client: Client): Values => ({
  name: legible(client.name, 'label'),
  logo: client.logo ?? '',
  industry: legible(client.industry, 'label'),
  description: legible(client.description, 'passage'),
  from: client.from ?? '',
  to: client.to ?? '',
});

/** What is sent to the source of truth, which judges it: here it is only put into shape. */
export const clientOf = (values: Values): NewClient => ({
  name: values.name,
  industry: values.industry,
  description: values.description,
  logo: values.logo.trim() || null,
  from: values.from.trim() || null,
  to: values.to.trim() || null,
});

const isField = (name: string): name is Field => (FIELDS as readonly string[]).includes(name);

/** The refusal's complaints by field, and those that belong to none; each a sentence that starts with the label. */
export function fieldErrors(problem: Problem): { fields: Partial<Record<Field, string>>; others: string[] } {
  const fields: Partial<Record<Field, string>> = {};
  const others: string[] = [];
  for (const { at, message } of problem.errors ?? []) {
    // The last step of a path or pointer, whichever way the source writes it.
    const name = at.split(/[./]/).at(-1) ?? '';
    if (isField(name)) fields[name] ??= `${LABELS[name]} ${message.replace('have 0 to', 'have at most')}`;
    else others.push(message);
  }
  return { fields, others };
}

/** The fields in which two sets of values differ. */
export const differences = (one: Values, other: Values): Field[] =>
  FIELDS.filter((field) => one[field] !== other[field]);

/** The address of a form with what was typed in it: how typing survives a sign-in. */
export function addressWith(path: string, values: Values): string {
  const query = new URLSearchParams();
  for (const field of FIELDS) if (values[field] !== '') query.set(field, values[field]);
  return query.size > 0 ? `${path}?${query}` : path;
}
