/** Pages that show lists from a copy. Each is a folder in `services/pages` and a line here; all else is derived. */
export const PAGE_NAMES = ['gig', 'user', 'search'] as const;
export type PageName = (typeof PAGE_NAMES)[number];

/** What page servers serve: the pages, and the portal of sellers. */
export const SERVED_PAGES = [...PAGE_NAMES, 'self-view'] as const;
export type ServedPage = (typeof SERVED_PAGES)[number];
