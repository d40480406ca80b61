/**
 * How fast a machine is at three things that every figure stands on, with nothing of this project in between: figures
 * of two machines can be compared by them. A few seconds.
 */
import { join } from 'node:path';
import { type Pipeline, startPipeline } from '../services/local-stack/pipeline.ts';
import { freePort } from '../services/local-stack/ports.ts';
import { startProcess } from '../services/local-stack/process.ts';
import { type Figure, show } from './report.ts';
import { attack } from './vegeta.ts';

export interface Calibration {
  /** Transactions of one inserted row, one after the other on one connection. */
  readonly commitsPerSecond: number;
  /** Milliseconds until a message is acknowledged, median. */
  readonly produceMs: number;
  /** Requests a second that a process of `node:http` answers with "hello". */
  readonly helloPerSecond: number;
}

const PROGRAM = join(import.meta.dirname, 'calibration-program.ts');
const HELLO = { workers: 16, warmUpSeconds: 1, seconds: 2 } as const;

/** Starts servers that do nothing else, and measures the machine on them. */
export async function calibrateMachine(): Promise<Calibration> {
  const pipeline = await startPipeline();
  try {
    return await calibrate(pipeline);
  } finally {
    await pipeline.stop();
  }
}

/** On servers that have nothing else to do. */
export async function calibrate({ postgres, kafka, folder }: Pipeline): Promise<Calibration> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const program = await startProcess({
    name: 'calibration',
    command: process.execPath,
    args: [PROGRAM, postgres.url('postgres'), kafka.bootstrap, String(port)],
    cwd: folder,
    env: { NODE_OPTIONS: undefined },
    logFile: join(folder, 'calibration.log'),
    readyUrl: url,
    readyTimeoutMs: 60_000,
  });
  try {
    const answer = await fetch(`${url}/stores`);
    const stores = (await answer.json()) as Pick<Calibration, 'commitsPerSecond' | 'produceMs'>;
    const visits = (seconds: number) =>
      attack(url, ['/'], { workers: HELLO.workers }, seconds, join(folder, 'calibration'));
    await visits(HELLO.warmUpSeconds);
    const { okPerSecond } = await visits(HELLO.seconds);
    return { ...stores, helloPerSecond: okPerSecond };
  } finally {
    await program.stop();
  }
}

export const calibrationLine = ({ commitsPerSecond, produceMs, helloPerSecond }: Calibration): string =>
  `the machine: ${show(commitsPerSecond)} single-row commits/s on one connection, ${show(produceMs)} ms for a produce ` +
  `round trip, ${show(helloPerSecond)} hellos/s of node:http`;

/** Rows of a table of figures; the first of each run. */
export const calibrationFigures = (calibrations: readonly Calibration[]): Figure[] => {
  const figure = (name: string, unit: string, of: (one: Calibration) => number): Figure => ({
    ...{ name: `the machine: ${name}`, unit, target: null },
    values: calibrations.map(of),
  });
  return calibrations.length === 0
    ? []
    : [
        figure('single-row commits, one connection', 'commits/s', (one) => one.commitsPerSecond),
        figure('produce round trip, kafkajs, p50', 'ms', (one) => one.produceMs),
        figure('node:http hello', 'requests/s', (one) => one.helloPerSecond),
      ];
};
