import type { Projection } from './projection.ts';
import { cards } from './views/cards.ts';
import { clientIds } from './views/client-ids.ts';
import { fullList } from './views/full-list.ts';

/** How a page's view follows the events, for each delivery that keeps data in the page's database. */
export interface Projections {
  readonly asynchronous: Projection;
  readonly hybrid: Projection;
}

// Whoever writes rows knows their type; whoever runs a projection hands them through unread.
const any = <Row>(projection: Projection<Row>): Projection => projection as unknown as Projection;

const WHOLE_LISTS: Projections = { asynchronous: any(fullList), hybrid: any(clientIds) };
/** Of pages that keep less. */
const OWN: ReadonlyMap<string, Projections> = new Map([
  ['search', { asynchronous: any(cards), hybrid: any(clientIds) }],
]);

export const projectionsOf = (page: string): Projections => OWN.get(page) ?? WHOLE_LISTS;
