/** What `bench/idle.ts` keeps of roles that have nothing or next to nothing to do, as docs/scale.md shows it. Pure. */
import { fileURLToPath } from 'node:url';
import type { Environment } from '../machine.ts';
import { type Figure, median, show } from '../report.ts';
import { table } from './tables.ts';

/** Units, which tell what was measured. */
export const FLOOR = {
  idleCpu: 'idle, % of a core',
  wakeUps: 'idle, wake-ups a second',
  idleMemory: 'idle, RSS in MB',
  floorCpu: 'an event a minute, % of a core',
  floorMemory: 'an event a minute, RSS in MB',
  afterStart: 'first event after the start, ms',
  afterRest: 'first event after a rest, ms',
} as const;
const COLUMNS = [FLOOR.idleCpu, FLOOR.wakeUps, FLOOR.idleMemory, FLOOR.floorCpu, FLOOR.floorMemory];

export const FLOOR_FILE = fileURLToPath(new URL('../../docs/scale/floor.json', import.meta.url));

export interface FloorResults {
  readonly environment: Environment;
  /** The name of each is `role, checkout`. */
  readonly figures: readonly Figure[];
}

const ofRole = ({ name }: Figure) => name.slice(0, name.lastIndexOf(', '));
const span = (values: readonly number[]) =>
  [Math.min(...values), median(values), Math.max(...values)].map(show);

/** A row a role, medians; then all roles together, and how long a first event took. */
export function floorSection({ environment, figures }: FloorResults): string {
  const { at, commit, cores, cpu } = environment;
  const runs = Math.max(...figures.map(({ values }) => values.length));
  const inTable = figures.filter(({ unit }) => COLUMNS.some((one) => one === unit));
  const byRole = Map.groupBy(inTable, ofRole);
  const medianOf = (role: string, unit: string) => {
    const figure = byRole.get(role)!.find((one) => one.unit === unit);
    return figure === undefined ? null : median(figure.values);
  };
  const cell = (value: number | null) => (value === null ? '' : show(value));
  const rows = [...byRole.keys()].map((role) => [role, ...COLUMNS.map((unit) => cell(medianOf(role, unit)))]);
  const sum = (unit: string) =>
    [...byRole.keys()].reduce((total, role) => total + (medianOf(role, unit) ?? 0), 0);
  const together = ['all together', ...COLUMNS.map((unit) => cell(sum(unit)))];
  const firsts = figures
    .filter(({ unit }) => unit === FLOOR.afterStart || unit === FLOOR.afterRest)
    .map(({ unit, values }) => `${unit}: ${span(values).join(', ')}`);
  return [
    `${at.slice(0, 10)}, commit ${commit}: ${cores} cores of ${cpu}; medians of ${runs} runs. \`${environment.command}\``,
    table(['', ...COLUMNS], [...rows, together]),
    `Commit → visible, least, median and most of the runs: ${firsts.join('; ')}.`,
  ].join('\n\n');
}
