import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import { plate } from './logos.ts';

const channel = (value: number) => (value <= 0.040_45 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
const luminance = (hex: string) =>
  [0.2126, 0.7152, 0.0722].reduce(
    (sum, weight, i) => sum + weight * channel(Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16) / 255),
    0,
  );
const contrast = (a: string, b: string) => {
  const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
  return (light + 0.05) / (dark + 0.05);
};

test('every brand of the catalogue can be told from its plate, by day and by night', () => {
  const catalogue = JSON.parse(
    readFileSync(new URL(import.meta.resolve('simple-icons/icons.json')), 'utf8'),
  ) as Array<{ slug: string; hex: string }>;
  const faint = catalogue.filter(({ hex }) => {
    const ink = / fill="#(\w{6})" d="M0 0"/.exec(plate('M0 0', hex))![1]!;
    return contrast(ink, hex) < 2;
  });
  expect(catalogue.length).toBeGreaterThan(3_000);
  expect(faint.map(({ slug }) => slug)).toEqual([]);
});
