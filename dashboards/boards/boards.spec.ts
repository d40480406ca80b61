import { readdir, readFile } from 'node:fs/promises';
import { describe, expect, test } from '@jest/globals';
import { chartDashboards, generatedFiles } from '../files.ts';
import { badAt, FRESH_SECONDS, OBJECTIVES } from '../objectives.ts';
import { BOARDS, build, uidOf } from './board.ts';
import { BOARD_SPECS } from './index.ts';

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } };
  readonly targets?: readonly { readonly refId: string; readonly expr: string }[];
  readonly links?: readonly { readonly url: string }[];
}
const panelsOf = (name: keyof typeof BOARD_SPECS) =>
  JSON.parse(JSON.stringify(build(BOARD_SPECS[name]))).panels as Panel[];

/** All that a reader would stumble over. */
function faultsOf(panels: readonly Panel[]): string[] {
  const faults: string[] = [];
  for (const [i, one] of panels.entries()) {
    const { x, y, w, h } = one.gridPos;
    if (x + w > 24) faults.push(`${one.title} reaches beyond the right edge`);
    for (const other of panels.slice(i + 1)) {
      const at = other.gridPos;
      if (x < at.x + at.w && at.x < x + w && y < at.y + at.h && at.y < y + h) {
        faults.push(`${one.title} and ${other.title} overlap`);
      }
      if (one.id === other.id) faults.push(`${one.title} and ${other.title} have one id`);
    }
    if (one.type === 'row') continue;
    if (!one.fieldConfig?.defaults.unit) faults.push(`${one.title} has no unit`);
    if (!one.description) faults.push(`${one.title} does not say what it means`);
    if (!one.targets?.length) faults.push(`${one.title} asks nothing`);
    for (const { url } of one.links ?? []) {
      if (!BOARDS.some((name) => url.startsWith(`/d/${uidOf(name)}?`))) faults.push(`${url} leads nowhere`);
    }
  }
  return faults;
}

describe.each(BOARDS)('%s', (name) => {
  const panels = panelsOf(name);

  test('panels fill their rows without overlapping, and each has a unit and says what it means', () => {
    expect(faultsOf(panels)).toEqual([]);
    const rows = Map.groupBy(
      panels.filter(({ type }) => type !== 'row'),
      ({ gridPos }) => gridPos.y,
    );
    for (const row of rows.values())
      expect(row.reduce((width, { gridPos }) => width + gridPos.w, 0)).toBe(24);
  });

  test('a reader at night sees at most sixteen panels', () => {
    expect(panels.filter(({ type }) => type !== 'row').length).toBeLessThanOrEqual(16);
  });

  test('it marks rollouts and view switches, and leads to the other dashboards with the time and the choices', () => {
    const { annotations, links, templating, uid } = JSON.parse(JSON.stringify(build(BOARD_SPECS[name])));
    expect(uid).toBe(uidOf(name));
    expect(annotations.list.map((one: { name: string }) => one.name)).toEqual([
      'Starts and rollouts',
      'View switches',
    ]);
    expect(links).toEqual([
      expect.objectContaining({ tags: ['top-clients'], keepTime: true, includeVars: true }),
    ]);
    expect(templating.list.map((one: { name: string }) => one.name)).toEqual([
      'datasource',
      'namespace',
      'page',
    ]);
  });
});

test('the check of a dashboard turns red on what it is for', () => {
  const [row, first, second] = panelsOf('overview') as [Panel, Panel, Panel];
  const spoilt = (change: Partial<Panel>) => faultsOf([row, first, { ...second, ...change }]).join();
  expect(spoilt({})).toBe('');
  expect(spoilt({ gridPos: first.gridPos })).toMatch(/overlap/);
  expect(spoilt({ gridPos: { x: 20, y: 50, w: 8, h: 4 } })).toMatch(/right edge/);
  expect(spoilt({ description: '' })).toMatch(/what it means/);
  expect(spoilt({ fieldConfig: { defaults: {} } })).toMatch(/no unit/);
  expect(spoilt({ links: [{ url: '/d/elsewhere?' }] })).toMatch(/leads nowhere/);
});

test('thresholds stand at the objectives', () => {
  const limitOf = (title: RegExp) =>
    Object.values(BOARD_SPECS)
      .flatMap(({ sections }) => sections.flatMap(({ panels }) => panels))
      .filter((panel) => title.test(panel.title))
      .map(({ limits }) => limits?.bad);
  expect(limitOf(/^Pages answered without error$/)).toEqual([OBJECTIVES.renders.target]);
  expect(limitOf(/^Pages that showed everything$/)).toEqual([OBJECTIVES.completeness.target]);
  expect(limitOf(/^(Changes seen within|Seen in time)/)).toEqual([
    OBJECTIVES.freshness.target,
    OBJECTIVES.freshness.target,
  ]);
  expect(limitOf(/^Share of error pages$/)).toEqual([badAt('renders')]);
  expect(limitOf(/^Lag in seconds$/)).toEqual([FRESH_SECONDS]);
});

test.each([
  ['../generated/', generatedFiles],
  ['../../charts/top-clients/dashboards/', chartDashboards],
])('what is checked in in %s is what the source gives; if not: npm run generate', async (folder, files) => {
  const at = new URL(folder, import.meta.url);
  const present = await Promise.all(
    (await readdir(at)).map(async (name) => [name, await readFile(new URL(name, at), 'utf8')] as const),
  );
  expect(new Map(present)).toEqual(files());
});

test('each dashboard fits into a ConfigMap many times over', () => {
  for (const text of chartDashboards().values()) expect(Buffer.byteLength(text)).toBeLessThan(100_000);
});
