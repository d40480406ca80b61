/** What a failed journey leaves behind: a second run would hide its cause. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PORTS } from '#cdk8s/platform.ts';
import { run } from '../support/run.ts';
import type { Cluster } from './cluster.ts';

const FOLDER = process.env['EVIDENCE'] ?? new URL('../../.cache/evidence', import.meta.url).pathname;
const LINES_SHOWN = 15;

/**
 * Writes what tells of the namespace's state into a folder: objects, events, and of every pod its log, the log before
 * its last restart and its metrics. Shows the events and the ends of the logs, for who has nothing but the output.
 * Never throws: it must not take the place of the failure it tells of.
 */
export async function keepEvidence(cluster: Cluster, journey: string): Promise<void> {
  const folder = join(
    FOLDER,
    `${new Date().toISOString().replaceAll(':', '-')} ${journey.replaceAll(/[^a-z0-9]+/gi, '-').slice(0, 60)}`,
  );
  mkdirSync(folder, { recursive: true });
  const keep = async (file: string, args: readonly string[]): Promise<string> => {
    const { stdout, stderr } = await run('kubectl', ['--namespace', cluster.namespace, ...args], {
      timeoutMs: 20_000,
    }).catch((err) => ({ stdout: '', stderr: String(err) }));
    writeFileSync(join(folder, file), stdout || stderr);
    return stdout;
  };
  const show = (title: string, text: string) =>
    process.stdout.write(`--- ${title}\n${text.trimEnd().split('\n').slice(-LINES_SHOWN).join('\n')}\n`);

  process.stdout.write(`failed: ${journey}\nevidence: ${folder}\n`);
  show('events', await keep('events.txt', ['get', 'events', '--sort-by=.lastTimestamp']));
  await keep('objects.yaml', ['get', 'topclients,pageviews,all,jobs,scaledobjects,pvc', '--output', 'yaml']);
  show('pods', await keep('pods.txt', ['get', 'pods', '--output', 'wide']));
  const pods = await cluster.list('pods').catch(() => []);
  for (const { metadata } of pods) {
    const { name } = metadata;
    const log = ['logs', name, '--all-containers', '--timestamps'];
    show(`log of ${name}`, await keep(`${name}.log`, log));
    await keep(`${name}.before.log`, [...log, '--previous']);
    const address = `/api/v1/namespaces/${cluster.namespace}/pods/${name}:${PORTS.health}/proxy/metrics`;
    await keep(`${name}.metrics`, ['get', '--raw', address]);
  }
}
