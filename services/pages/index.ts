import type { PageName } from '#contracts/pages.ts';
import { gigPage } from './gig/page.ts';
import type { Page } from './page.ts';
import { searchPage } from './search/page.ts';
import { userPage } from './user/page.ts';

// Each page knows the types of its own addresses and data; whoever runs a page hands them through unread.
const any = <Address, Own>(page: Page<Address, Own>): Page => page as unknown as Page;

/** Every page that shows top clients from a copy; the self-view reads the source of truth and is not among them. */
export const PAGES: Readonly<Record<PageName, Page>> = {
  gig: any(gigPage),
  user: any(userPage),
  search: any(searchPage),
};
