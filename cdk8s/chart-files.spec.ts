import { readFile } from 'node:fs/promises';
import { expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { ChartValues } from './api/chart-values.ts';
import { chartFiles } from './chart-files.ts';

const chart = new URL('../charts/top-clients/', import.meta.url);
const values = async () => parse(await readFile(new URL('values.yaml', chart), 'utf8'));

test('what is checked in is what the schemas give; if not: npm run generate', async () => {
  for (const [path, text] of chartFiles()) {
    expect([path, await readFile(new URL(path, chart), 'utf8')]).toEqual([path, text]);
  }
});

test('values.yaml gives every value the templates read, and departs from the schema in the image and the pages', async () => {
  const { topClients, pages, ...given } = await values();
  const {
    topClients: _,
    pages: __,
    ...defaults
  } = ChartValues.parse({
    image: {},
    operator: {},
    topClients: {},
    pages: {},
    admissionPolicy: {},
    dashboards: {},
    test: {},
  });
  expect({ ...given, image: { ...given.image, tag: '' } }).toEqual(defaults);
  expect(given.image.tag).toBe('dev');
  expect(topClients).toEqual({});
  expect(pages).toEqual({ gig: {}, user: {}, search: {} });
});

test('the schema of the values names what it does not know, and takes what a page may be', async () => {
  const schema = JSON.parse(chartFiles().get('values.schema.json')!);
  const { topClients, pages } = schema.properties;
  expect(topClients.properties.kafka.additionalProperties).toBe(false);
  expect(pages.properties.gig.anyOf).toEqual([expect.objectContaining({ type: 'object' }), { type: 'null' }]);
  expect(JSON.stringify(schema)).not.toMatch(/x-kubernetes|9007199254740991/);
});

test('the table of values has a line for each, and says what it is', () => {
  const rows = chartFiles()
    .get('VALUES.md')!
    .split('\n')
    .filter((line) => line.startsWith('| `'));
  expect(rows).toContain(
    '| `topClients.kafka.mode` | `"embedded"` | embedded: one broker, for development; strimzi: a cluster by that operator; external: yours |',
  );
  expect(rows.filter((row) => row.endsWith('|  |'))).toEqual([]);
  expect(rows.length).toBeGreaterThan(100);
});
