import { projections as gig } from './gig/view.ts';
import type { Page, PageName } from './page.ts';
import { projections as search } from './search/view.ts';
import { projections as user } from './user/view.ts';

/** Every page that shows top clients from a copy; the self-view reads the source of truth and is not among them. */
export const PAGES: Readonly<Record<PageName, Page>> = {
  gig: { name: 'gig', projections: gig as Page['projections'] },
  user: { name: 'user', projections: user as Page['projections'] },
  search: { name: 'search', projections: search as Page['projections'] },
};
