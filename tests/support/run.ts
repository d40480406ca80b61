import { spawn } from 'node:child_process';

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end. Never throws for what the program says; only when it is missing or too slow. */
export function run(
  program: string,
  args: readonly string[],
  { input, timeoutMs = 120_000 }: { input?: string; timeoutMs?: number } = {},
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: timeoutMs });
    const text = { stdout: '', stderr: '' };
    child.stdout.setEncoding('utf8').on('data', (chunk) => {
      text.stdout += chunk;
    });
    child.stderr.setEncoding('utf8').on('data', (chunk) => {
      text.stderr += chunk;
    });
    child.once('error', (cause) =>
      reject(new Error(`${program} cannot be run; is it on the PATH?`, { cause })),
    );
    child.once('close', (code, signal) =>
      signal
        ? reject(new Error(`${program} ${args.join(' ')} took longer than ${timeoutMs} ms: ${text.stderr}`))
        : resolve({ code: code ?? 1, ...text }),
    );
    // A program may end before it has read its input: it is judged by how it ended.
    child.stdin.on('error', () => {});
    child.stdin.end(input ?? '');
  });
}
