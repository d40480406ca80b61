import { z } from 'zod';

/** Pages that show lists from a copy. Each is a folder in `services/pages` and a line here; all else is derived. */
export const PAGE_NAMES = ['gig', 'user', 'search'] as const;
export type PageName = (typeof PAGE_NAMES)[number];

/** What page servers serve: the pages, and the portal of sellers. */
export const SERVED_PAGES = [...PAGE_NAMES, 'self-view'] as const;
export type ServedPage = (typeof SERVED_PAGES)[number];

const RESERVED: ReadonlySet<string> = new Set([...SERVED_PAGES, 'source', 'topics', 'smoke', 'operator']);

/** The name of a page of somebody else. Objects, consumer groups and metrics are named after it. */
export const ExternalPageName = z
  .string()
  .regex(
    /^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$/,
    'must be at most 20 lower-case letters, digits and hyphens, and begin with a letter',
  )
  .refine((name) => !RESERVED.has(name), 'is taken by a part of Top Clients');
/** Any page with a view. */
export const ViewPage = z.union([z.enum(PAGE_NAMES), ExternalPageName]);
export type ViewPage = string;
