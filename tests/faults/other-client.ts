/** A stranger's client on our Kafka: Kafka's own Java client, with everything that kafkajs and our code lack. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { SELLER_EVENTS } from '#contracts/topics.ts';
import { brokerJars, findJava } from '../../services/local-stack/kafka.ts';
import type { FaultWorld } from './world.ts';

const PROGRAM = fileURLToPath(new URL('other-client/OtherClient.java', import.meta.url));

export interface OtherClient {
  /** Resolves when it prints these words. @throws with its output when it ends before, or is silent for a minute */
  says(words: string): Promise<void>;
  /** Tells it to finish, and waits for its end. @throws with its output when it fails */
  finish(): Promise<void>;
}

type Task = 'codecs' | 'transaction';

/** @param log called with its output */
export async function startOtherClient(
  world: FaultWorld,
  task: Task,
  log: (message: string) => void = () => {},
  ...more: readonly string[]
): Promise<OtherClient> {
  const jars = await brokerJars();
  const child = spawn(
    findJava(),
    [
      ...['-Xmx96m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1'],
      '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
      ...['-cp', join(jars, '*'), PROGRAM, task, world.kafka.bootstrap, SELLER_EVENTS.topic, ...more],
    ],
    { stdio: ['pipe', 'pipe', 'pipe'] },
  );
  const end = endOf(child);
  const said = new Set<string>();
  const waiting = new Map<string, () => void>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    said.add(line);
    log(line);
    waiting.get(line)?.();
  });
  return {
    async says(words) {
      if (said.has(words)) return;
      const heard = new Promise<void>((resolve) => waiting.set(words, resolve));
      const tooLate = AbortSignal.timeout(60_000);
      await Promise.race([
        heard,
        end.then(() => {
          throw new Error(`it ended and did not say "${words}"`);
        }),
        new Promise((_, reject) => tooLate.addEventListener('abort', () => reject(tooLate.reason))),
      ]).catch((cause) => {
        child.kill('SIGKILL');
        throw cause;
      });
    },
    async finish() {
      child.stdin.end();
      await end;
    },
  };
}

function endOf(child: ChildProcess): Promise<void> {
  let complaints = '';
  child.stderr!.on('data', (text) => {
    complaints = `${complaints}${text}`.slice(-4_000);
  });
  child.stdin!.on('error', () => {});
  const end = new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) =>
      code === 0
        ? resolve()
        : reject(new Error(`the other client failed (${code ?? signal}): ${complaints}`)),
    );
  });
  end.catch(() => {});
  return end;
}

let compiler: boolean | undefined;
/** Why this machine cannot run it; null when it can. */
export function otherClientMissing(): string | null {
  compiler ??= spawnSync(findJava(), ['--list-modules'], { encoding: 'utf8' }).stdout?.includes(
    'jdk.compiler@',
  );
  return compiler ? null : 'this Java has no compiler: apt-get install openjdk-17-jdk-headless';
}
