/**
 * Judges what the chart gives, and what `make manifests` gives from the same values, for every values file: `helm lint`
 * and checkov. `node tests/chart/check.ts` installs checkov below `.cache/` when needed; `make chart` calls it.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { BROKEN_VALUES } from '#cdk8s/testing/broken-values.ts';

const CHECKOV = 'checkov==3.3.30';
const NAMESPACE = 'top-clients';
const root = new URL('../..', import.meta.url).pathname;
const chart = join(root, 'charts', 'top-clients');

/** A finding of checkov: `resource` is Kind.namespace.name. */
interface Finding {
  readonly check_id: string;
  readonly check_name: string;
  readonly resource: string;
  readonly file_path: string;
}
interface Explained {
  readonly check: string;
  readonly where: string;
  /** Which values files it is about; all when absent. */
  readonly values?: string;
  readonly because: string;
}

/** Breaks a rule on purpose: a scan that does not notice it has looked at nothing. */
const PLANTED = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'planted', namespace: NAMESPACE },
  spec: { containers: [{ name: 'planted', image: 'planted', securityContext: { privileged: true } }] },
};
const PLANTED_CHECK = 'CKV_K8S_16';

/** A part that is null is what it is when nobody says, an empty one as well. */
const NULLS: typeof BROKEN_VALUES = [
  ...['pages', 'image', 'operator', 'test', 'dashboards', 'admissionPolicy', 'deletionGuard'].flatMap(
    (part) => [null, {}].map((nothing) => ['', { [part]: nothing }] as const),
  ),
  ['topClients: profile production refuses an embedded Kafka', { topClients: null }],
];

const folder = mkdtempSync(join(tmpdir(), 'chart-'));
try {
  const examples = readdirSync(join(chart, 'examples')).filter((name) => name.endsWith('.yaml'));
  const files = examples.map((name) => join('examples', name));
  for (const file of files) {
    const given = ['--values', join(chart, file)];
    run('helm', ['lint', '--strict', '--quiet', chart, ...given]);
    const name = file.replaceAll('/', '-');
    const template = () =>
      run('helm', ['template', 'top-clients', chart, '--namespace', NAMESPACE, ...given]);
    const rendered = template();
    // Whatever applies it again and again, as GitOps does, must find nothing changed.
    if (rendered !== template()) throw new Error(`helm template gives something else each time with ${file}`);
    write(`chart-${name}`, rendered);
    const all = ['--values', join(chart, 'values.yaml'), ...given];
    write(
      `manifests-${name}`,
      run(process.execPath, [
        join(root, 'cdk8s', 'main.ts'),
        '--namespace',
        NAMESPACE,
        '--keda',
        '--monitoring',
        ...all,
      ]),
    );
  }
  const lenient = [...BROKEN_VALUES, ...NULLS].flatMap(([sentence, values]) => lenience(sentence, values));
  write('planted.json', JSON.stringify(PLANTED));
  const found = scan();
  const ours = found.filter(({ resource }) => nameOf(resource) !== 'Pod.planted');
  const complaints = [
    ...(found.some((one) => one.check_id === PLANTED_CHECK && nameOf(one.resource) === 'Pod.planted')
      ? []
      : [`checkov did not notice the planted violation of ${PLANTED_CHECK}`]),
    ...judge(ours, explained()),
    ...lenient,
  ];
  for (const complaint of complaints) console.error(complaint);
  if (complaints.length > 0) process.exitCode = 1;
  else {
    const reasons = explained().length;
    console.log(
      `the chart is sound: ${files.length} values files, ${ours.length} findings explained by ${reasons} reasons`,
    );
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** What a sentence for values that `helm template` has to refuse, or to take where the sentence is empty, but does not. */
function lenience(sentence: string, values: object): string[] {
  const file = join(folder, 'broken.json');
  const demo = join(chart, 'examples', 'demo.yaml');
  writeFileSync(file, JSON.stringify(values));
  const given = ['template', 'top-clients', chart, '--values', demo, '--values', file];
  const { status, stderr } = spawnSync('helm', given, { encoding: 'utf8', timeout: 60_000 });
  rmSync(file);
  const told = stderr.split('\n').filter((line) => /^ {2}(topClients|pages)\b/.test(line));
  const asWanted = sentence ? status !== 0 && told.some((line) => line.includes(sentence)) : status === 0;
  return asWanted
    ? []
    : [`${stringify(values)}helm template should say '${sentence}', and says: ${stderr || 'nothing'}`];
}

/** A sentence for each finding that nobody explained, and for each explanation of nothing. */
function judge(findings: readonly Finding[], reasons: readonly Explained[]): string[] {
  const explains = ({ check, where, values = '' }: Explained, { check_id, resource, file_path }: Finding) =>
    check === check_id && new RegExp(where).test(nameOf(resource)) && new RegExp(values).test(file_path);
  const unexplained = new Set(
    findings
      .filter((finding) => !reasons.some((reason) => explains(reason, finding)))
      .map((one) => `${one.check_id} ${one.check_name}: ${nameOf(one.resource)} (${one.file_path})`),
  );
  const idle = reasons.filter((reason) => !findings.some((finding) => explains(reason, finding)));
  return [
    ...unexplained,
    ...idle.map(
      ({ check, where }) => `tests/chart/explained.yaml explains ${check} ${where}, which is not found`,
    ),
  ];
}

/** Kind and name; the namespace is ours anyway. */
function nameOf(resource: string): string {
  const [kind, , ...name] = resource.split('.');
  return `${kind}.${name.join('.')}`;
}

function explained(): Explained[] {
  return parse(readFileSync(join(root, 'tests', 'chart', 'explained.yaml'), 'utf8'));
}

function scan(): Finding[] {
  const venv = join(root, '.cache', CHECKOV);
  const program = join(venv, 'bin', 'checkov');
  if (!existsSync(program)) {
    run('python3', ['-m', 'venv', venv], 'Python 3.9 or newer with its venv module is needed');
    run(join(venv, 'bin', 'pip'), ['install', '--quiet', CHECKOV], 'PyPI is needed once');
  }
  const report = run(program, [
    ...['--framework', 'kubernetes', '--directory', folder, '--output', 'json'],
    // Guidelines for people; the rules themselves came with the package.
    ...['--skip-download', '--compact', '--quiet', '--soft-fail'],
  ]);
  const { results, summary } = JSON.parse(report);
  if (summary.parsing_errors > 0) throw new Error(`checkov could not read ${summary.parsing_errors} files`);
  return results.failed_checks;
}

function write(name: string, text: string): void {
  writeFileSync(join(folder, name), text);
}

/** @returns what it wrote; ends the run when it failed, with what it said */
function run(command: string, args: readonly string[], otherwise = ''): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    maxBuffer: 256 * 2 ** 20,
    timeout: 600_000,
    env: { ...process.env, LOG_LEVEL: 'ERROR', PYTHONDONTWRITEBYTECODE: '1' },
  });
  if (status === 0) return stdout;
  throw new Error(`${command} ${args.join(' ')} failed: ${stderr || stdout || error?.message}. ${otherwise}`);
}
