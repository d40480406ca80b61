/** docs/comparison.md from results: the short tables into the page, all of them into a file beside it. Pure. */
import { replaceBetweenMarkers } from '../markers.ts';
import type { Results } from './results.ts';
import { bytesTable, circumstances, costSummary, faultSummary, healthySummary, markdown } from './tables.ts';

/** The page whose cost and faults stand in the document; those of all pages are in the file of all tables. */
const SHOWN = 'gig';

/** The document with its tables between their markers; the text around them stays. */
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

/** Every table, over every page. */
export const allTables = markdown;
