/**
 * `make faults [SEED=…] [MINUTES=…] [FAULTS=a,b] [MUTATE=name|all] [ONCE=1]`
 *
 * Exits with 0 when every promise held, 1 when one did not, 2 for options that do not exist. A mutation breaks
 * promises, so a single one exits with 1; MUTATE=all exits with 0 when each of them broke some.
 */
import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type CampaignOptions, type Report, runCampaign } from './campaign.ts';
import { CATALOGUE } from './catalogue.ts';
import { inShort } from './findings.ts';
import { type Mutation, mutatedCopy } from './mutations.ts';
import { BadOption, choose, type Options, readOptions } from './options.ts';

const MAIN = fileURLToPath(new URL('../../services/main.ts', import.meta.url));
/** A mutation that its own faults do not reveal in this time counts as not noticed. */
const MUTATION_MINUTES = 0.4;
const startedAt = performance.now();
const log = (message: string) =>
  process.stdout.write(`${((performance.now() - startedAt) / 1_000).toFixed(1).padStart(7)} ${message}\n`);
/** Messages of servers and supervisors are useful only after a failure; they are in the logs. */
const quiet = (message: string) => {
  if (
    /^(round|[\d]+ (messages|partitions)|nobody|alerts|logs and history|disk full|.* could not be injected)/.test(
      message,
    )
  )
    log(message);
};

async function campaign(
  options: Options,
  faults: CampaignOptions['faults'],
  more: Partial<CampaignOptions> = {},
): Promise<Report> {
  return runCampaign({
    seed: options.seed,
    minutes: options.minutes,
    once: options.once,
    faults,
    folder: more.folder ?? (await mkdtemp(join(tmpdir(), `top-clients-faults-${options.seed}-`))),
    main: MAIN,
    log: quiet,
    ...more,
  });
}

async function honest(options: Options): Promise<boolean> {
  const { faults, left } = options.faults
    ? { faults: options.faults, left: [] }
    : choose(CATALOGUE, options.minutes);
  for (const one of left) log(`left out: ${one}`);
  log(
    `seed ${options.seed}, ${options.once ? 'each once' : `${options.minutes} min`}, ${faults.length} faults`,
  );
  const report = await campaign(options, faults);
  const { ok, fail, unknown } = report.operations;
  log(
    `${report.rounds} rounds in ${report.seconds} s; ${ok} operations done, ${fail} refused, ${unknown} of unknown ` +
      `outcome; ${report.visits} visits; ${report.erased} sellers erased; slowest catch-up ${report.slowestCatchUpMs} ms`,
  );
  log(`self-view: ${report.linearizability}`);
  if (report.findings.length === 0) {
    log('every promise held');
    return true;
  }
  for (const line of inShort(report.findings)) log(`BROKEN ${line}`);
  const named = options.faults ? ` FAULTS=${options.faults.map(({ name }) => name).join()}` : '';
  log(
    `repeat: make faults SEED=${options.seed} MINUTES=${options.minutes}${named}${options.once ? ' ONCE=1' : ''}`,
  );
  return false;
}

/** @returns whether the right checker noticed it */
async function noticed(mutation: Mutation, options: Options): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), `top-clients-mutation-${mutation.name}-`));
  try {
    const faults = options.faults ?? CATALOGUE.filter(({ name }) => mutation.faults.includes(name));
    const report = await campaign(options, faults, {
      main: await mutatedCopy(mutation, folder),
      folder: join(folder, 'run'),
      // Each mutation ends in findings, as it must, so its log is not shown.
      log: () => {},
      minutes: Math.min(options.minutes, MUTATION_MINUTES),
      untilFirstFinding: true,
    });
    const broken = [...new Set(report.findings.map(({ promise }) => promise))].toSorted();
    const right = mutation.breaks.some((promise) => broken.includes(promise));
    log(`${mutation.name} (${mutation.about}): ${right ? `noticed, ${broken.join(' ')}` : 'NOT NOTICED'}`);
    for (const line of inShort(report.findings, 1)) log(`  ${line}`);
    return right;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

try {
  const options = readOptions(process.env, CATALOGUE, () => randomInt(1, 1_000_000));
  if (options.mutations.length === 0) {
    process.exitCode = (await honest(options)) ? 0 : 1;
  } else {
    log(`seed ${options.seed}, ${options.mutations.length} mutations`);
    const missed: string[] = [];
    for (const mutation of options.mutations) {
      if (!(await noticed(mutation, options))) missed.push(mutation.name);
    }
    log(missed.length === 0 ? 'every mutation was noticed' : `not noticed: ${missed.join(', ')}`);
    const isOneNoticed = options.mutations.length === 1 && missed.length === 0;
    process.exitCode = isOneNoticed || missed.length > 0 ? 1 : 0;
  }
} catch (err) {
  process.exitCode = err instanceof BadOption ? 2 : 1;
  process.stderr.write(`${err instanceof BadOption ? err.message : (err as Error).stack}\n`);
}
// A half-open connection that a fault left must not keep the process alive.
process.exit();
