import { expect, test } from '@jest/globals';
import { built, pageOf, platformOf } from '../testing/platforms.ts';
import { viewWatcher } from './view-watcher.ts';

const written = (spec: unknown) => built((scope) => viewWatcher(scope, platformOf(), pageOf('gig', spec)));

test('the watcher of the view that a page shows', () => {
  expect(written({ watch: { sellersPerSecond: 500 } })).toMatchSnapshot();
});

test('a page without a view has nothing to watch, and the watch can be switched off', () => {
  for (const spec of [{ delivery: 'synchronous' }, { delivery: 'off' }, { watch: { enabled: false } }]) {
    expect(written(spec)).toBe('');
  }
  expect(written({ delivery: 'hybrid' })).toContain('value: hybrid');
});

test('repair can be switched off by itself', () => {
  const setting = (value: string) => `name: TC_REPAIR\n              value: "${value}"`;
  expect(written({})).toContain(setting('true'));
  expect(written({ watch: { repair: false } })).toContain(setting('false'));
});

test('views that are kept up for a rollback are watched as well', () => {
  const shown = { delivery: 'asynchronous', version: 3 } as const;
  const keptUp = [
    { delivery: 'asynchronous', version: 2 },
    { delivery: 'hybrid', version: 1 },
  ] as const;
  const text = built((scope) => viewWatcher(scope, platformOf(), { ...pageOf('gig'), shown, keptUp }));
  expect(text).toMatch(/TC_VIEW_VERSION\n +value: "3"/);
  expect(text).toMatch(/TC_KEPT_VIEWS\n +value: asynchronous-v2,hybrid-v1/);
  expect(written({})).not.toContain('TC_KEPT_VIEWS');
});

test('views that are kept up while the page shows none are watched', () => {
  const page = pageOf('gig', { delivery: 'synchronous' });
  const keptUp = [{ delivery: 'asynchronous', version: 2 }] as const;
  const text = built((scope) => viewWatcher(scope, platformOf(), { ...page, keptUp }));
  expect(text).toMatch(/TC_DELIVERY\n +value: asynchronous\n +- name: TC_VIEW_VERSION\n +value: "2"/);
  expect(text).not.toContain('TC_KEPT_VIEWS');
});

test('while another view is built, the one that is shown is watched', () => {
  const page = pageOf('gig', { view: { version: 2 } });
  const shown = { delivery: 'asynchronous', version: 1 } as const;
  const text = built((scope) => viewWatcher(scope, platformOf(), { ...page, shown }));
  expect(text).toMatch(/TC_VIEW_VERSION\n +value: "1"/);
});
