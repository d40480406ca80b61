/** The cluster that KUBECONFIG names, used as a person would: by kubectl and helm. */
import { setTimeout as delay } from 'node:timers/promises';
import { run } from '../support/run.ts';

async function succeed(
  program: string,
  args: readonly string[],
  options?: { input?: string; timeoutMs?: number },
) {
  const { code, stdout, stderr } = await run(program, args, options);
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} failed: ${stderr || stdout}`);
  return stdout;
}

/** kubectl and helm in one namespace. */
export class Cluster {
  readonly namespace: string;
  constructor(namespace: string) {
    if (!process.env['KUBECONFIG']) {
      throw new Error(
        'KUBECONFIG is not set: it names the cluster that the journeys run on (make e2e sets it)',
      );
    }
    this.namespace = namespace;
  }

  kubectl(args: readonly string[], options?: { input?: string; timeoutMs?: number }): Promise<string> {
    return succeed('kubectl', ['--namespace', this.namespace, ...args], options);
  }
  helm(args: readonly string[], timeoutMs = 300_000): Promise<string> {
    return succeed('helm', ['--namespace', this.namespace, ...args], { timeoutMs });
  }
  /** What kubectl says when it is refused. */
  async refusal(args: readonly string[], input?: string): Promise<string> {
    const { code, stderr } = await run(
      'kubectl',
      ['--namespace', this.namespace, ...args],
      input ? { input } : {},
    );
    if (code === 0) throw new Error(`kubectl ${args.join(' ')} was accepted`);
    return stderr;
  }
  // biome-ignore lint/suspicious/noExplicitAny: the caller knows the kind
  async get(what: string, ...args: string[]): Promise<any> {
    return JSON.parse(await this.kubectl(['get', what, ...args, '--output', 'json']));
  }
  // biome-ignore lint/suspicious/noExplicitAny: as above
  async list(what: string, selector?: string): Promise<any[]> {
    return (await this.get(what, ...(selector ? ['--selector', selector] : []))).items;
  }
  apply(manifest: unknown): Promise<string> {
    return this.kubectl(['apply', '--filename', '-'], { input: JSON.stringify(manifest) });
  }
  patch(what: string, patch: unknown): Promise<string> {
    return this.kubectl(['patch', what, '--type', 'merge', '--patch', JSON.stringify(patch)]);
  }
  /** A condition of a custom resource, as far as it was judged for the current spec. */
  async condition(what: string, type: string): Promise<Condition | undefined> {
    const { metadata, status } = await this.get(what);
    if (status?.observedGeneration !== metadata.generation) return undefined;
    return status.conditions?.find((one: Condition) => one.type === type);
  }
}

export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  readonly reason: string;
  readonly message: string;
}

/** Asks until the answer is neither undefined nor false. @throws after the deadline, with the last error or answer */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined | false>,
  timeoutMs: number,
  everyMs = 500,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const answer = await ask();
      if (answer !== undefined && answer !== false) return answer;
    } catch (err) {
      last = err;
    }
    if (Date.now() > deadline)
      throw new Error(`waited ${timeoutMs} ms in vain until ${what}`, { cause: last });
    await delay(everyMs);
  }
}

/** Waits until the platform and these pages are ready. */
export const allReady = (
  cluster: Cluster,
  pages: readonly string[],
  timeoutMs: number,
  everyMs?: number,
): Promise<boolean> =>
  until(
    'the platform and its pages are ready',
    async () => {
      for (const what of ['topclients/top-clients', ...pages.map((page) => `pageviews/${page}`)]) {
        if ((await cluster.condition(what, 'Ready'))?.status !== 'True') return false;
      }
      return true;
    },
    timeoutMs,
    everyMs,
  );
