import { expect, test } from '@jest/globals';
import { PageViewSpec } from '#cdk8s/api/page-view.ts';
import { LEAVING, type ViewMemory } from '../view-switch/view-switch.ts';
import { unshownViews } from './unshown-views.ts';

const delivery = 'asynchronous';
const view = (version: number) => ({ delivery, version }) as const;
const startedAt = '2026-11-23T12:00:00Z';
const NOTHING: ViewMemory = { shown: null, building: null, kept: [] };
const of = (spec: object, memory: Partial<ViewMemory>) =>
  unshownViews(PageViewSpec.parse(spec), { ...NOTHING, ...memory });

test('a view that is built, or about to be, is one that nobody has seen', () => {
  const building = { ...view(2), startedAt };
  expect(of({ view: { version: 2 } }, { shown: view(1), building })).toEqual([view(2)]);
  expect(of({ view: { version: 2 } }, { shown: view(1) })).toEqual([view(2)]);
  expect(of({ view: { version: 2 } }, { shown: { delivery: 'synchronous' } })).toEqual([view(2)]);
  // Another is wanted meanwhile.
  expect(of({ view: { version: 3 } }, { shown: view(1), building })).toEqual([view(2), view(3)]);
});

test('one that was given up and is not removed yet counts as well', () => {
  expect(of({}, { shown: view(1), kept: [{ ...view(2), until: LEAVING }] })).toEqual([view(2)]);
});

test('what a page shows, has shown, or shows from its first moment stays', () => {
  expect(of({}, {})).toEqual([]);
  expect(of({}, { shown: view(1) })).toEqual([]);
  expect(of({ view: { version: 2 } }, { shown: view(2), kept: [{ ...view(1), until: startedAt }] })).toEqual(
    [],
  );
  expect(of({ view: { version: 1 } }, { shown: view(2), kept: [{ ...view(1), until: startedAt }] })).toEqual(
    [],
  );
  const back = { ...view(1), startedAt, keptUntil: startedAt };
  expect(of({ view: { version: 1 } }, { shown: view(2), building: back })).toEqual([]);
});

test('a page that removes everything itself, and one of somebody else, are left to themselves', () => {
  const memory = { shown: view(1), building: { ...view(2), startedAt } };
  expect(of({ view: { version: 2 }, deletionPolicy: 'Delete' }, memory)).toEqual([]);
  const external = { database: { existingSecret: 'shop', key: 'url' } };
  expect(of({ view: { version: 2 }, external }, memory)).toEqual([]);
});
