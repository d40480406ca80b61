/**
 * `make conformance-consumer CONSUMER='command' STATE=address-or-file [PATIENCE=seconds]`
 *
 * Starts a Kafka, plays a hostile topic to the command, and says which rules of docs/consume.md it kept. The command gets
 * KAFKA_BROKERS and KAFKA_TOPIC; it is killed once and started again, and must keep its store. Exits with 0 when every
 * rule was kept, 1 when one was not, 2 for settings that are missing.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { startKafka } from '../../../services/local-stack/kafka.ts';
import { type ManagedProcess, startProcess } from '../../../services/local-stack/process.ts';
import { type ConsumerUnderTest, play } from './play.ts';
import { readState } from './state.ts';

const { CONSUMER: command = '', STATE: where = '', PATIENCE: patience = '60' } = process.env;
const say = (line: string) => process.stdout.write(`${line}\n`);

const missing = [
  command === ''
    ? "CONSUMER: the command that starts your consumer, such as CONSUMER='python consumer.py'"
    : '',
  where === ''
    ? 'STATE: where its rows are read, such as STATE=http://localhost:9000/state or STATE=rows.jsonl'
    : '',
  Number(patience) > 0 ? '' : `PATIENCE: seconds that an act may take, not "${patience}"`,
].filter((line) => line !== '');
if (missing.length > 0) {
  process.stderr.write(`make conformance-consumer needs\n${missing.map((line) => `  ${line}\n`).join('')}`);
  process.exit(2);
}

const folder = await mkdtemp(join(tmpdir(), 'conformance-'));
const kafka = await startKafka({ dataDir: join(folder, 'kafka') });
const logFile = join(folder, 'consumer.log');
let running: ManagedProcess | null = null;

const consumer: ConsumerUnderTest = {
  async start() {
    running = await startProcess({
      ...{ name: 'the consumer', logFile, command: 'bash', args: ['-c', command] },
      env: { KAFKA_BROKERS: kafka.bootstrap, KAFKA_TOPIC: SELLER_EVENTS.topic },
    });
  },
  async kill() {
    if (running === null) return;
    const { pid, exited } = running;
    // The group: the command may have started others.
    try {
      process.kill(-pid, 'SIGKILL');
    } catch {
      // It has ended by itself; the state says what came of that.
    }
    await exited;
  },
  state: () => readState(where),
};

let broken = 0;
try {
  const verdicts = await play(kafka.bootstrap, consumer, { patienceMs: Number(patience) * 1_000, log: say });
  for (const { rule, breach } of verdicts)
    say(breach === null ? `  kept    ${rule}` : `  BROKEN  ${rule}: ${breach}`);
  broken = verdicts.filter(({ breach }) => breach !== null).length;
  say(
    broken === 0
      ? `all ${verdicts.length} rules were kept`
      : `${broken} of ${verdicts.length} rules were broken`,
  );
  if (broken > 0)
    say(`the end of what the consumer wrote:\n${(await readFile(logFile, 'utf8')).slice(-4_000)}`);
} finally {
  await consumer.kill();
  await kafka.stop();
  await rm(folder, { recursive: true, force: true });
}
process.exitCode = broken === 0 ? 0 : 1;
