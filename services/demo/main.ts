import { fileURLToPath } from 'node:url';
import { startInBackground, stopInBackground } from './background.ts';
import { HELP, readOptions, UsageError } from './options.ts';
import { runDemo } from './run.ts';

// kafkajs sets timeouts into the past, which Node tells everybody and which means nothing.
const warn = process.listeners('warning');
process.removeAllListeners('warning').on('warning', (warning) => {
  if (warning.name !== 'TimeoutNegativeWarning') for (const one of warn) one(warning);
});

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

try {
  const argv = process.argv.slice(2);
  const options = readOptions(argv, ROOT);
  if (options.command === 'help') process.stdout.write(HELP);
  else if (options.command === 'stop') await stopInBackground(options.data, (line) => console.log(line));
  else if (options.detach) await startInBackground(argv, options.data);
  else await runDemo(options);
} catch (err) {
  if (!(err instanceof UsageError)) throw err;
  process.stderr.write(`The demo cannot start:\n${err.message.replace(/^/gm, '  ')}\n`);
  process.exitCode = 2;
}
