import { LRUCache } from 'lru-cache';
import type { z } from 'zod';
import { PageViewSpec, PageViewStatus } from '#cdk8s/api/page-view.ts';
import { brokenRules } from '#cdk8s/api/rules.ts';
import { TopClientsSpec } from '#cdk8s/api/top-clients.ts';
import { isView, type ShownView } from '#cdk8s/platform.ts';
import type { ViewMemory } from '../view-switch/view-switch.ts';

/** What was read, or which field cannot be used and why. */
export type Read<T> = { readonly read: T } | { readonly invalid: string };

/**
 * Validates by a schema and its rules. The API server validates by its CRD, but one older than this operator lets other
 * things through. Validation takes longer than all decisions made from it, and its input rarely changes: the few
 * answers used last are cached.
 */
function judging<S extends z.ZodType>(schema: S, at: string): (value: unknown) => Read<z.output<S>> {
  const known = new LRUCache<string, Read<z.output<S>>>({ max: MOST_KNOWN });
  return (value) => {
    const text = JSON.stringify(value ?? {});
    const before = known.get(text);
    if (before) return before;
    const judgement = judge(schema, at, value);
    known.set(text, judgement);
    return judgement;
  };
}
const MOST_KNOWN = 8;

function judge<S extends z.ZodType>(schema: S, at: string, value: unknown): Read<z.output<S>> {
  const parsed = schema.safeParse(withoutUnknown(schema, value ?? {}).known);
  const complaints = parsed.success
    ? brokenRules(schema, parsed.data, [at])
    : parsed.error.issues.map(({ path, message }) => `${[at, ...path].join('.')}: ${message}`);
  return parsed.success && complaints.length === 0
    ? { read: parsed.data }
    : { invalid: complaints.slice(0, 5).join('; ') };
}

/**
 * A value without the fields that a schema does not know. The API server keeps none that the definition lacks, so these
 * come from a later version of it.
 */
function withoutUnknown(
  schema: z.ZodType,
  value: unknown,
): { readonly known: unknown; readonly unknown: readonly string[] } {
  const parsed = schema.safeParse(value);
  const found = parsed.success ? [] : parsed.error.issues.filter(({ code }) => code === 'unrecognized_keys');
  if (found.length === 0) return { known: value, unknown: [] };
  const known = structuredClone(value);
  const unknown = found.flatMap(({ path, ...issue }) => {
    // biome-ignore lint/suspicious/noExplicitAny: the path leads to an object, for its keys are complained of
    const parent = path.reduce((one: any, key) => one[key], known);
    const { keys } = issue as unknown as { keys: readonly string[] };
    for (const key of keys) delete parent[key];
    return keys.map((key) => [...path, key].join('.'));
  });
  return { known, unknown };
}

/** The fields of a platform's spec that this version does not know, as `postgres.backup`. */
export const unknownToPlatform = (spec: unknown): readonly string[] =>
  withoutUnknown(TopClientsSpec, spec ?? {}).unknown.map((path) => `spec.${path}`);

export const readPlatformSpec: (spec: unknown) => Read<TopClientsSpec> = judging(TopClientsSpec, 'spec');
export const readPageSpec: (spec: unknown) => Read<PageViewSpec> = judging(PageViewSpec, 'spec');
/** Fields that a newer operator wrote are ignored. */
export const readPageStatus: (status: unknown) => Read<PageViewStatus> = judging(
  PageViewStatus.strip(),
  'status',
);

/** The views that a status remembers. A shown delivery without a view is only in the view column. */
export function memoryIn({ shown, building, kept, view }: PageViewStatus): ViewMemory {
  const column = view?.split(' ')[0];
  const without: ShownView | null =
    column === 'synchronous' || column === 'off' ? { delivery: column } : null;
  return { shown: shown ?? without, building: building ?? null, kept: kept ?? [] };
}

export function statusOf({
  shown,
  building,
  kept,
}: ViewMemory): Pick<PageViewStatus, 'shown' | 'building' | 'kept'> {
  return {
    ...(shown && isView(shown) ? { shown } : {}),
    ...(building ? { building } : {}),
    ...(kept.length > 0 ? { kept: [...kept] } : {}),
  };
}
