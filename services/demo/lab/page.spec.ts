import { expect, test } from '@jest/globals';
import { siteOf } from '#pages/layout.ts';
import { isolationOf, WRITTEN } from '../../pages/testing/isolation.ts';
import { newMeasurements } from './measurements.ts';
import { fragments, type LabView } from './page.ts';
import { openSwitches } from './switches.ts';

test('brands in the small pictures of a page do not turn their neighbours around', () => {
  const measurements = newMeasurements();
  measurements.variants.asynchronous.outcome = 'full';
  measurements.variants.asynchronous.clients = [
    { id: '1', name: WRITTEN, logo: null },
    { id: '2', name: WRITTEN, logo: 'spotify' },
  ];
  const view: LabView = {
    measurements,
    switches: openSwitches(new Map(), { delayMs: 0, close: async () => {} }),
    site: siteOf({}, (name) => name),
    addressOf: () => '/',
    api: { source: '/', issuer: 'issuer', gig: '/' },
    assets: { site: '/', lab: '/', script: '/' },
    sellers: 1,
  };
  expect(isolationOf(fragments(view)['preview-asynchronous']!)).toEqual({ found: 2, faults: [] });
});
