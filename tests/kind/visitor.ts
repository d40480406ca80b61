/** Somebody inside the cluster: a pod of the image under test that asks pages and API by their Services. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { run } from '../support/run.ts';
import type { Cluster } from './cluster.ts';

export interface VisitAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  // biome-ignore lint/suspicious/noExplicitAny: pages and API answer what they answer
  readonly body: any;
  readonly tookMs: number;
}
export interface Question {
  readonly url: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

export const NODE = '/nodejs/bin/node';
const POD = 'visitor';

const ASK = `
const question = JSON.parse(process.argv[1]);
const startedAt = performance.now();
const response = await fetch(question.url, {
  method: question.method ?? 'GET',
  headers: { accept: 'application/json', ...(question.body === undefined ? {} : { 'content-type': 'application/json' }), ...question.headers },
  ...(question.body === undefined ? {} : { body: JSON.stringify(question.body) }),
  redirect: 'manual',
  signal: AbortSignal.timeout(10_000),
});
const text = await response.text();
let body = text;
try { body = JSON.parse(text); } catch {}
console.log(JSON.stringify({ status: response.status, headers: Object.fromEntries(response.headers), body, tookMs: performance.now() - startedAt }));
process.exit(0);
`;

// Half of the visitors keep their connection, half come with a new one each time, as people and proxies do. They keep an
// idle one for as long as they were told: Node heeds `Keep-Alive` in agents that have a timeout. Nobody asks again.
const VISIT = `
const { urls, perSecond } = JSON.parse(process.argv[1]);
const { request } = require('node:http');
const { Agent } = require('node:http');
const kept = new Agent({ keepAlive: true, maxSockets: 8, timeout: 60_000 });
const counts = Object.fromEntries(urls.map((url) => [url, { requests: 0, outcomes: {}, incomplete: [], failures: [], longestMs: 0 }]));
let stopped = false;
process.stdin.on('data', () => {}).on('end', () => { stopped = true; });
const visit = (url, agent) => new Promise((resolve) => {
  const startedAt = performance.now();
  const count = counts[url];
  count.requests += 1;
  const failed = (why) => {
    if (count.failures.length < 20) count.failures.push(new Date().toISOString() + ' ' + why + ' after ' + Math.round(performance.now() - startedAt) + ' ms' + (agent ? ', kept connection' : ''));
    resolve();
  };
  const sent = request(url, { agent: agent ?? false, headers: { accept: 'application/json' }, timeout: 10_000 }, (response) => {
    response.on('error', (err) => failed(err.message)).on('data', () => {}).on('end', () => {
      const outcome = response.headers['top-clients'] ?? 'none';
      count.outcomes[outcome] = (count.outcomes[outcome] ?? 0) + 1;
      if (outcome !== 'full' && count.incomplete.length < 20) count.incomplete.push(new Date().toISOString() + ' ' + outcome + ' after ' + Math.round(performance.now() - startedAt) + ' ms, ' + response.headers['server-timing']);
      count.longestMs = Math.max(count.longestMs, performance.now() - startedAt);
      if (response.statusCode !== 200) failed('status ' + response.statusCode);
      else resolve();
    });
  });
  sent.on('timeout', () => sent.destroy(new Error('no answer within 10 s'))).on('error', (err) => failed(err.message));
  sent.end();
});
(async () => {
  const open = new Set();
  let turn = 0;
  const startedAt = performance.now();
  while (!stopped) {
    for (const url of urls) {
      const one = visit(url, turn % 2 === 0 ? kept : null);
      open.add(one);
      one.then(() => open.delete(one));
    }
    turn += 1;
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, startedAt + turn * (1000 / perSecond) - performance.now())));
  }
  await Promise.all(open);
  // A pipe takes 64 KB at once.
  process.stdout.write(JSON.stringify(counts) + '\\n', () => process.exit(0));
})();
`;

export interface Visits {
  readonly requests: number;
  /** Header \`Top-Clients\` → how often. */
  readonly outcomes: Readonly<Record<string, number>>;
  /** When something else than `full` was answered, and what took how long. */
  readonly incomplete: readonly string[];
  readonly failures: readonly string[];
  readonly longestMs: number;
}

export class Visitor {
  readonly #cluster: Cluster;
  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** @param image the image under test, which brings Node */
  async arrive(image: string): Promise<void> {
    await this.#cluster.apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: POD },
      spec: {
        automountServiceAccountToken: false,
        terminationGracePeriodSeconds: 1,
        securityContext: { runAsNonRoot: true, runAsUser: 65532, seccompProfile: { type: 'RuntimeDefault' } },
        containers: [
          {
            name: POD,
            image,
            imagePullPolicy: 'IfNotPresent',
            command: [
              NODE,
              '--eval',
              'process.on("SIGTERM", () => process.exit(0)); setInterval(() => {}, 1e9)',
            ],
            securityContext: {
              allowPrivilegeEscalation: false,
              readOnlyRootFilesystem: true,
              capabilities: { drop: ['ALL'] },
            },
          },
        ],
      },
    });
    await this.#cluster.kubectl(['wait', `pod/${POD}`, '--for=condition=Ready', '--timeout=60s']);
  }

  async ask(question: Question): Promise<VisitAnswer> {
    const { code, stdout, stderr } = await run('kubectl', [
      ...execIn(this.#cluster, []),
      ...['--input-type=module', '--eval', ASK, JSON.stringify(question)],
    ]);
    if (code !== 0) throw new Error(`${question.method ?? 'GET'} ${question.url} got no answer: ${stderr}`);
    return JSON.parse(stdout);
  }

  /** Visits these addresses at a steady rate until the returned function is called, which tells how it went. */
  visit(urls: readonly string[], perSecond: number): () => Promise<Readonly<Record<string, Visits>>> {
    return runUntilEnded(this.#cluster, VISIT, { urls, perSecond });
  }
}

const execIn = ({ namespace }: Cluster, flags: readonly string[]): string[] => [
  '--namespace',
  namespace,
  'exec',
  ...flags,
  POD,
  '--',
  NODE,
];

/**
 * Runs a program in the pod of the visitor until the returned function is called.
 * @param program JavaScript that prints one line of JSON once its standard input ends
 * @param settings its first argument, as JSON
 */
export function runUntilEnded<T>(cluster: Cluster, program: string, settings: object): () => Promise<T> {
  const child: ChildProcessWithoutNullStreams = spawn('kubectl', [
    ...execIn(cluster, ['--stdin']),
    ...['--eval', program, JSON.stringify(settings)],
  ]);
  let complaint = '';
  child.stderr.on('data', (chunk) => {
    complaint += chunk;
  });
  const result = new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).once('line', resolve);
    child.once('error', reject);
    child.once('close', () => reject(new Error(`the visitor ended before its time: ${complaint}`)));
  });
  result.catch(() => {}); // Looked at when it is ended.
  return async () => {
    child.stdin.end();
    return JSON.parse(await result);
  };
}
