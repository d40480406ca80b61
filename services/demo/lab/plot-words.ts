import type { PlotUnit } from './plots.ts';

/** A value with its unit, written for people. */
export function inWords(value: number, unit: PlotUnit): string {
  switch (unit) {
    case 'seconds':
      return duration(value);
    case 'share':
      return `${short(value * 100)} %`;
    case 'a second':
      return `${short(value)}/s`;
    case 'count':
      return short(value);
  }
}

function duration(seconds: number): string {
  if (seconds >= 120) return `${short(seconds / 60)} min`;
  if (seconds >= 1 || seconds === 0) return `${short(seconds)} s`;
  return seconds >= 0.001 ? `${short(seconds * 1_000)} ms` : `${short(seconds * 1_000_000)} µs`;
}

/** Three significant digits; whole numbers from a hundred on. */
function short(value: number): string {
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(Math.abs(value) >= 10 ? 3 : 2)));
}

/** A legend filled with the labels of a series. */
export const legendOf = (legend: string, labels: Readonly<Record<string, string>>): string =>
  legend.replace(/\{\{(\w+)\}\}/g, (_, label: string) => labels[label] ?? '').trim();
