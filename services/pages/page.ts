import type { Projection } from './projection.ts';

export type PageName = 'gig' | 'user' | 'search';
export type SellerLevel = 'new' | 'rising' | 'expert' | 'master';

/** One page: a folder here and a line in the index. */
export interface Page {
  readonly name: PageName;
  /** How its view follows the events, for each delivery that keeps data in the page's database. */
  readonly projections: { readonly asynchronous: Projection; readonly hybrid: Projection };
}
