import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { endProcess } from '../local-stack/process.ts';
import { runningIn } from './data-folder.ts';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
const STOP_MS = 40_000;

/** What a background demo reports to the process that started it. */
export type Report = { readonly line: string } | { readonly ready: true };

/** Starts the demo as a separate process, shows its lines until it is ready, and leaves it running. */
export async function startInBackground(argv: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, [MAIN, ...argv.filter((flag) => flag !== '--detach')], {
    detached: true,
    // It sends reports, and later writes to its log: a pipe to this process would break when this process ends.
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  // Ctrl-C in the terminal reaches only this process: the child leads a process group of its own.
  const passOn = () => child.kill('SIGTERM');
  process.on('SIGINT', passOn).on('SIGTERM', passOn);
  await new Promise<void>((resolve) => {
    child.on('message', (report: Report) => {
      if ('line' in report) return console.log(report.line);
      console.log(`\n  It runs in the background; make demo-stop ends it.`);
      child.disconnect();
      child.unref();
      resolve();
    });
    child.once('exit', (code) => {
      process.exitCode = code ?? 1;
      resolve();
    });
  });
  process.off('SIGINT', passOn).off('SIGTERM', passOn);
}

/** Stops the demo that uses the folder, and waits until it has ended. */
export async function stopInBackground(data: string, say: (line: string) => void): Promise<void> {
  const pid = await runningIn(data);
  if (pid === undefined) return say(`no demo runs in ${data}`);
  const begin = performance.now();
  await endProcess(pid, 'SIGTERM', STOP_MS);
  say(`stopped in ${((performance.now() - begin) / 1_000).toFixed(1)} s; the data stays in ${data}`);
}
