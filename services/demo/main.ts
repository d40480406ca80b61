import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Report } from './background.ts';
import { HELP, readOptions, UsageError } from './options.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

try {
  const argv = process.argv.slice(2);
  const options = readOptions(argv, ROOT);
  if (options.command === 'help') process.stdout.write(HELP);
  else if (options.command === 'stop' || options.detach) {
    const { startInBackground, stopInBackground } = await import('./background.ts');
    if (options.command === 'stop') await stopInBackground(options.data, (line) => console.log(line));
    else await startInBackground(argv);
  } else {
    // For all processes of the demo: compiled once, started twenty times.
    const cache = join(ROOT, '.cache', 'compiled');
    enableCompileCache(cache);
    const { runDemo } = await import('./run.ts');
    await runDemo(options, cache);
  }
} catch (err) {
  if (!(err instanceof UsageError)) throw err;
  const complaint = `The demo cannot start:\n${err.message.replace(/^/gm, '  ')}`;
  process.exitCode = 2;
  // A background demo reports to the process that started it. The open channel would keep this process alive.
  if (process.send) process.send({ line: complaint } satisfies Report, () => process.disconnect());
  else process.stderr.write(`${complaint}\n`);
}
