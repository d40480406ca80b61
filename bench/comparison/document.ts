/** Makes docs/comparison.md from results: the short tables go into the page, all tables into a file beside it. Pure. */
import { replaceBetweenMarkers } from '../markers.ts';
import type { Results } from './results.ts';
import { bytesTable, circumstances, costSummary, faultSummary, healthySummary, markdown } from './tables.ts';

/** The page whose cost and faults are in the document; those of all pages are in the file of all tables. */
const SHOWN = 'gig';

/** The document with its tables between their markers; the other text stays. */
export function withTables(document: string, results: Results): string {
  const parts = {
    circumstances: circumstances(results),
    healthy: healthySummary(results),
    cost: costSummary(results, SHOWN),
    faults: faultSummary(results, SHOWN),
    bytes: bytesTable(results),
  };
  return Object.entries(parts).reduce(
    (text, [name, part]) => replaceBetweenMarkers(text, name, part),
    document,
  );
}

/** Every table, for every page. */
export const allTables = markdown;
