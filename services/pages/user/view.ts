import { clientIds } from '../client-ids-view.ts';
import { fullList } from '../full-list-view.ts';

/** The user page shows the whole list of one seller. */
export const projections = { asynchronous: fullList, hybrid: clientIds };
