/** What GitHub runs: that it can be read, calls what the Makefile has, takes no right it need not, and no action by a tag. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { parse } from 'yaml';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (path: string) => readFileSync(`${root}/${path}`, 'utf8');
const WORKFLOWS = readdirSync(`${root}/.github/workflows`);
const MAKEFILE = read('Makefile');

interface Job {
  readonly uses?: string;
  readonly 'timeout-minutes'?: number;
  readonly permissions?: Readonly<Record<string, string>>;
  readonly steps?: readonly { readonly uses?: string; readonly run?: string }[];
}
interface Workflow {
  readonly permissions?: Readonly<Record<string, string>>;
  readonly jobs: Readonly<Record<string, Job>>;
}

const targetsIn = (makefile: string) =>
  new Set([...makefile.matchAll(/^([a-z][a-z0-9-]*):/gm)].map(([, target]) => target!));
/** What a script has made: words behind `make`, but for flags and variables. */
const madeBy = (script: string): string[] =>
  [...script.matchAll(/\bmake\b([^\n;&|]*)/g)].flatMap(([, words]) =>
    words!
      .trim()
      .split(/\s+/)
      .filter((word) => /^[a-z][a-z0-9-]*$/.test(word)),
  );
const stepsOf = ({ jobs }: Workflow) => Object.values(jobs).flatMap(({ steps = [] }) => steps);

function faultsOf(text: string, makefile: string): string[] {
  const workflow = parse(text) as Workflow;
  const targets = targetsIn(makefile);
  const made = stepsOf(workflow).flatMap(({ run = '' }) => madeBy(run));
  const uses = [...text.matchAll(/\buses: (.+)$/gm)].map(([, action]) => action!);
  return [
    ...made.filter((target) => !targets.has(target)).map((target) => `no target ${target}`),
    ...uses
      .filter((action) => !/^(\.\/.+|[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)*)$/.test(action))
      .map((action) => `not pinned: ${action}`),
    ...(JSON.stringify(workflow.permissions) === '{"contents":"read"}'
      ? []
      : ['more than reading by default']),
    ...Object.entries(workflow.jobs)
      .filter(([, job]) => job.uses === undefined && job['timeout-minutes'] === undefined)
      .map(([name]) => `${name} may run for ever`),
  ];
}

test.each(WORKFLOWS)('%s can be read and calls what there is', (name) => {
  const text = read(`.github/workflows/${name}`);
  expect(
    madeBy(
      stepsOf(parse(text) as Workflow)
        .map(({ run = '' }) => run)
        .join('\n'),
    ),
  ).not.toEqual([]);
  expect(faultsOf(text, MAKEFILE)).toEqual([]);
});

test('CI on GitHub calls what .ci/run calls', () => {
  const comments = /^\s*#.*$/gm;
  const here = new Set(madeBy(read('.ci/run').replaceAll(comments, '')));
  const there = new Set(
    stepsOf(parse(read('.github/workflows/ci.yml')) as Workflow).flatMap(({ run = '' }) => madeBy(run)),
  );
  expect([...here].toSorted()).toEqual(['e2e', 'kind-down', 'kind-load', 'kind-up', 'test']);
  expect([...here].filter((target) => !there.has(target))).toEqual([]);
});

test('only the job that publishes may write, and only packages', () => {
  const { jobs } = parse(read('.github/workflows/release.yml')) as Workflow;
  const writes = Object.entries(jobs).flatMap(([name, { permissions = {} }]) =>
    Object.entries(permissions).flatMap(([what, right]) => (right === 'write' ? [`${name}: ${what}`] : [])),
  );
  expect(writes).toEqual(['publish: packages', 'publish: id-token']);
});

test('a target that is gone, a tag, a right and a job without an end are noticed; what is no YAML is refused', () => {
  const workflow = read('.github/workflows/ci.yml');
  expect(faultsOf(workflow, MAKEFILE.replace(/^test:/m, 'tests:'))).toEqual(['no target test']);
  expect(faultsOf(workflow.replace(/checkout@[0-9a-f]{40} # v/, 'checkout@v'), MAKEFILE)).toHaveLength(1);
  expect(faultsOf(workflow.replace('contents: read', 'contents: write'), MAKEFILE)).toEqual([
    'more than reading by default',
  ]);
  expect(faultsOf(workflow.replace('    timeout-minutes: 60\n', ''), MAKEFILE)).toEqual([
    'test may run for ever',
  ]);
  expect(() => faultsOf(`${workflow}\n  - [`, MAKEFILE)).toThrow();
});
