import { z } from 'zod';

/**
 * Pages that show lists from a copy. Each is a folder in `services/pages` and a line here; all else is derived. A name is
 * one lower-case word: databases, settings and members of the resources are named after it.
 */
export const PAGE_NAMES = ['gig', 'user', 'search'] as const;
export type PageName = (typeof PAGE_NAMES)[number];

/** The same for each page, by its name. */
export const eachPage = <T>(of: (page: PageName) => T): Readonly<Record<PageName, T>> =>
  Object.fromEntries(PAGE_NAMES.map((page) => [page, of(page)])) as Record<PageName, T>;

/** The same for each page, by its name and what stands behind it. */
export const eachPageWith = <S extends string, T>(
  suffix: S,
  of: (page: PageName) => T,
): Readonly<Record<`${PageName}${S}`, T>> =>
  Object.fromEntries(PAGE_NAMES.map((page) => [`${page}${suffix}`, of(page)])) as Record<
    `${PageName}${S}`,
    T
  >;

/** A setting that there is for each page, as `TC_GIG_URL`. */
export const settingOfPage = (page: PageName, what: string) => `TC_${page.toUpperCase()}_${what}` as const;

/** What page servers serve: the pages, and the portal of sellers. */
export const SERVED_PAGES = [...PAGE_NAMES, 'self-view'] as const;
export type ServedPage = (typeof SERVED_PAGES)[number];

/** Names that pages of others cannot have, beside those of our own. */
export const RESERVED_PAGE_NAMES = ['self-view', 'source', 'topics', 'smoke', 'operator'] as const;

/** At most 19 characters, because objects with a longest name of 63 are named after it. */
export const EXTERNAL_PAGE_NAME = /^[a-z]([a-z0-9-]{0,17}[a-z0-9])?$/;

/** The name of a page of somebody else. Objects, consumer groups and metrics are named after it. */
export const ExternalPageName = z
  .string()
  .regex(
    EXTERNAL_PAGE_NAME,
    'must be at most 19 lower-case letters, digits and hyphens, and begin with a letter',
  )
  .refine(
    (name) => ![...PAGE_NAMES, ...RESERVED_PAGE_NAMES].some((taken) => taken === name),
    'is taken by a part of Top Clients',
  );
/** Any page with a view. */
export const ViewPage = z.union([z.enum(PAGE_NAMES), ExternalPageName]);
export type ViewPage = string;
