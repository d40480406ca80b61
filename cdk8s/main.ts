/** Writes the objects that the operator would apply as YAML: `make manifests`, for GitOps without the operator. */
import { readdir, readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { manifestFiles, missingSecrets } from './manifest-files.ts';
import { readValues, ValuesError } from './values.ts';
import { writeManifests } from './write-manifests.ts';

const USAGE = `usage: node cdk8s/main.ts --namespace NAME [options]
  --values FILE     values as the chart takes them; later files win (charts/top-clients/values.yaml)
  --namespace NAME  where everything will run
  --image REF       of every role; image in the values otherwise
  --keda            the cluster has KEDA: autoscaling.mode auto means keda
  --monitoring      the cluster has a Prometheus operator: monitoring.enabled auto means always
  --out FOLDER      one file a group, in the order in which they are needed; to the console when absent
`;

/** The chart's own dashboards: the same for every way of installation. */
async function readDashboards(): Promise<ReadonlyMap<string, string>> {
  const folder = new URL('../charts/top-clients/dashboards/', import.meta.url);
  const names = (await readdir(folder)).sort();
  const texts = await Promise.all(names.map((name) => readFile(new URL(name, folder), 'utf8')));
  return new Map(names.map((name, i) => [name, texts[i]!]));
}

try {
  const { values: flags } = parseArgs({
    options: {
      values: { type: 'string', multiple: true, default: ['charts/top-clients/values.yaml'] },
      namespace: { type: 'string' },
      image: { type: 'string' },
      keda: { type: 'boolean', default: false },
      monitoring: { type: 'boolean', default: false },
      out: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (flags.help) {
    process.stdout.write(USAGE);
  } else {
    if (!flags.namespace) throw new ValuesError('name the namespace: --namespace NAME');
    const texts = await Promise.all(
      flags.values.map(async (file) => ({ file, text: await readFile(file, 'utf8') })),
    );
    const wanted = readValues(texts, {
      namespace: flags.namespace,
      image: flags.image,
      capabilities: { keda: flags.keda, monitoring: flags.monitoring },
    });
    const files = manifestFiles(wanted, await readDashboards());
    if (flags.out === undefined) process.stdout.write([...files.values()].join(''));
    else await writeManifests(flags.out, files, (line) => process.stderr.write(`${line}\n`));
    process.stderr.write(missingSecrets(wanted.platform));
  }
} catch (err) {
  const { code, message } = err as NodeJS.ErrnoException;
  const ours = err instanceof ValuesError || code?.startsWith('ERR_PARSE_ARGS') || code === 'ENOENT';
  if (!ours) throw err;
  process.stderr.write(`${message}\n${err instanceof ValuesError ? '' : USAGE}`);
  process.exitCode = 2;
}
