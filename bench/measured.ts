/**
 * Pipeline runs whose figures are kept: a file per kind of machine in `bench/measured`, rendered into README.md. Pure.
 */
import { replaceBetweenMarkers } from './markers.ts';
import { type Figure, isReached, median, show, targetOf } from './report.ts';

export interface PipelineRun {
  /** The day, or the instant. */
  readonly at: string;
  /** With `+` at the end when changes were not committed. */
  readonly commit: string;
  readonly cpu: string;
  readonly cores: number;
  /** Null when it was not recorded. */
  readonly memoryGb: number | null;
  readonly versions: Readonly<Record<string, string>>;
  readonly runs: number;
  /** Of what has a ratio to reach, where they were others. */
  readonly ratioRuns?: number;
  /** The highest one-minute load average before a measurement. */
  readonly busiestLoad: number;
  /** For figures that no program wrote: where they are from, and how they were rounded. */
  readonly transcribed?: string;
  readonly figures: readonly Figure[];
}

/** The file for a kind of machine: `AMD EPYC` → `pipeline-amd-epyc.json`; its next run replaces it. */
export const fileOf = ({ cpu }: Pick<PipelineRun, 'cpu'>): string =>
  `pipeline-${cpu
    .toLowerCase()
    .replaceAll(/\((r|tm)\)/g, '')
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '')}.json`;

/** Median, minimum and maximum, and whether the target was missed. */
function cell(figure: Figure | undefined): string {
  if (figure === undefined) return '–';
  const { values } = figure;
  const spread = `${show(median(values))} (${show(Math.min(...values))}–${show(Math.max(...values))})`;
  return isReached(figure) === false ? `${spread} **missed**` : spread;
}

/** A line for each run, and one table: a row for each figure, a column for each run. */
export function pipelineTable(runs: readonly PipelineRun[]): string {
  const circumstances = runs.map(({ cpu, at, commit, cores, memoryGb, versions, ...run }) => {
    const parts = [
      `commit ${commit}`,
      `${cores} cores`,
      ...(memoryGb === null ? [] : [`${memoryGb} GB`]),
      ...Object.entries(versions).map(([name, version]) => `${name} ${version}`),
      `${run.runs} run${run.runs === 1 ? '' : 's'}`,
      ...(run.ratioRuns === undefined || run.ratioRuns === run.runs ? [] : [`${run.ratioRuns} of ratios`]),
      `load before a measurement at most ${run.busiestLoad}`,
      ...(run.transcribed === undefined ? [] : ['transcribed as printed']),
    ];
    return `- **${cpu}**, ${at.slice(0, 10)}: ${parts.join(', ')}.`;
  });
  const figures = new Map<string, Figure>();
  for (const run of runs) for (const figure of run.figures) figures.set(figure.name, figure);
  const head = ['figure', 'unit', 'target', 'Debezium', ...runs.map(({ cpu }) => cpu)];
  const rows = [...figures.values()].map((figure) => [
    figure.name,
    figure.unit,
    targetOf(figure),
    figure.debezium ?? '',
    ...runs.map((run) => cell(run.figures.find(({ name }) => name === figure.name))),
  ]);
  const table = [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
  return `${circumstances.join('\n')}\n\n${table}`;
}

/** From commit to visible, of every machine that told it. */
export function delayOf(runs: readonly PipelineRun[]): string {
  const delays = runs.flatMap(({ cpu, cores, figures }) => {
    const [p50, p99] = ['p50', 'p99'].map((name) =>
      figures.find((figure) => figure.name === `commit → visible, ${name}`),
    );
    if (p50 === undefined || p99 === undefined) return [];
    const ms = (figure: Figure) => `${show(median(figure.values))} ms`;
    return [`**p50 ${ms(p50)}, p99 ${ms(p99)}** on ${cpu} with ${cores} cores`];
  });
  return `${delays.join('; ')}.`;
}

/** The document with the figures of all runs between its markers. */
export const withFigures = (document: string, runs: readonly PipelineRun[]): string =>
  replaceBetweenMarkers(
    replaceBetweenMarkers(document, 'delay', delayOf(runs)),
    'pipeline',
    pipelineTable(runs),
  );
