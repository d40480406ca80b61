import { expect, test } from '@jest/globals';
import { siteOf } from '#pages/layout.ts';
import { isolationOf, WRITTEN } from '../../pages/testing/isolation.ts';
import { allExamples } from '../examples.ts';
import { newMeasurements } from './measurements.ts';
import { fragments, type LabView } from './page.ts';
import { openSwitches } from './switches.ts';

const viewOf = (over: Partial<LabView> = {}): LabView => ({
  measurements: newMeasurements(),
  switches: openSwitches(new Map(), { delayMs: 0, close: async () => {} }),
  site: siteOf({}, (name) => name),
  addressOf: ({ name }) => `/open/${name}`,
  examples: allExamples({ state: 'preparing' }),
  api: { source: '/', issuer: 'issuer', gig: '/' },
  assets: { site: '/', lab: '/', script: '/' },
  sellers: 1,
  ...over,
});

test('brands in the small pictures of a page do not turn their neighbours around', () => {
  const measurements = newMeasurements();
  measurements.cards.asynchronous.outcome = 'full';
  measurements.cards.asynchronous.clients = [
    { id: '1', name: WRITTEN, logo: null },
    { id: '2', name: WRITTEN, logo: 'spotify' },
  ];
  expect(isolationOf(fragments(viewOf({ measurements }))['preview-asynchronous']!)).toEqual({
    found: 2,
    faults: [],
  });
});

test('a page of somebody else is shown as it runs, and else why it does not', () => {
  const examples = {
    'python-page': { state: 'absent', why: 'Python 3.11 <or newer> is needed' },
    'node-page': { state: 'running' },
  } as const;
  const measurements = newMeasurements();
  for (const name of ['python-page', 'node-page'] as const) measurements.cards[name].outcome = 'unreachable';
  const shown = fragments(viewOf({ examples, measurements }));
  expect(shown['example-python-page']).toContain(
    'It does not run here: Python 3.11 &lt;or newer&gt; is needed',
  );
  expect(shown['example-python-page']).not.toContain('/open/');
  expect(shown['example-node-page']).toContain('href="/open/node-page"');
  // Who is not there is not missed.
  expect(shown['announcement']).toContain('Not complete: A page in JavaScript.');
  expect(fragments(viewOf())['example-node-page']).toContain('It is being prepared');
});
