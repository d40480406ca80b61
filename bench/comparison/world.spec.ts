import { expect, test } from '@jest/globals';
import { countersOf } from './world.ts';

test('series are added up by name, and by outcome or result', () => {
  const counters = countersOf(
    [
      '# HELP topclients_page_renders_total Pages',
      'topclients_page_renders_total{page="gig",delivery="hybrid",outcome="full"} 7',
      'topclients_page_renders_total{page="gig",delivery="hybrid",outcome="missing"} 2',
      'topclients_page_source_requests_total{page="gig",result="ok"} 3',
      'process_start_time_seconds 1.5e9',
    ].join('\n'),
  );
  expect(counters.get('topclients_page_renders_total')).toBe(9);
  expect(counters.get('topclients_page_renders_total/missing')).toBe(2);
  expect(counters.get('topclients_page_source_requests_total/ok')).toBe(3);
  expect(counters.get('process_start_time_seconds')).toBe(1.5e9);
});
