/** How long after kill -9 every write is visible without delay again, under steady writes and with a supervisor. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Pipeline } from '../services/local-stack/pipeline.ts';
import type { RunningRole } from '../services/local-stack/run-role.ts';
import { type Load, openLoad, seedSellers } from './load.ts';
import { observeView, type Seen } from './observer.ts';

const PER_SECOND = 500;
const SELLERS = 5_000;
const WARM_UP_SECONDS = 6;
/** Before a kill, and after it: each role then runs for more than ten seconds, and is restarted as soon as at first. */
const BEFORE_A_KILL_SECONDS = 2;
const AFTER_A_KILL_SECONDS = 3;
/** So soon after the writes began. */
const KILL_AFTER_MS = 1_000;
/** A write that takes longer than this to become visible is late. */
const BEHIND_MS = 100;
const SUPERVISOR = { max: 10, firstDelayMs: 50, maxDelayMs: 500 };

export interface RecoveryResult {
  readonly relaySeconds: number;
  readonly projectorSeconds: number;
}

/** @param sessionTimeoutMs after this time without a sign of life the database frees a projector's partitions */
export async function measureRecovery(
  pipeline: Pipeline,
  sessionTimeoutMs: number,
  runs: number,
): Promise<RecoveryResult[]> {
  await seedSellers(pipeline.source, SELLERS);
  const relay = await pipeline.relay('relay', { restart: SUPERVISOR });
  const projector = await pipeline.projector('projector', {
    restart: SUPERVISOR,
    env: { TC_SESSION_TIMEOUT_MS: String(sessionTimeoutMs) },
  });
  const load = await openLoad(pipeline.postgres.url('source'), SELLERS);
  try {
    // Cold processes and a cold broker would be behind before anything is killed.
    await load.write(PER_SECOND, WARM_UP_SECONDS);
    const results: RecoveryResult[] = [];
    for (let run = 0; run < runs; run++) {
      results.push({
        relaySeconds: await recovery(pipeline, load, relay, AFTER_A_KILL_SECONDS),
        projectorSeconds: await recovery(
          pipeline,
          load,
          projector,
          AFTER_A_KILL_SECONDS + sessionTimeoutMs / 1_000,
        ),
      });
    }
    return results;
  } finally {
    await load.close();
    await projector.stop();
    await relay.stop();
  }
}

/** From the kill until the last delayed write became visible. */
async function recovery(
  pipeline: Pipeline,
  load: Load,
  victim: RunningRole,
  seconds: number,
): Promise<number> {
  await load.write(PER_SECOND, BEFORE_A_KILL_SECONDS);
  const observer = await observeView(pipeline);
  let count = 0;
  const writing = load.write(PER_SECOND, KILL_AFTER_MS / 1_000 + seconds, (one) => {
    if (count++ % 5 === 0) observer.expect(one);
  });
  await delay(KILL_AFTER_MS);
  const killedAt = performance.now();
  victim.kill('SIGKILL');
  await writing;
  const seen = await observer.finish();
  return caughtUpAfter(seen, killedAt) / 1_000;
}

/**
 * From the kill until the last write that the outage delayed was visible, in ms: the first late writes in a row after
 * the kill. A hiccup long afterwards does not count.
 */
export function caughtUpAfter(seen: readonly Seen[], killedAt: number): number {
  const inOrder = seen.filter(({ visibleAt }) => visibleAt > killedAt).toSorted((a, b) => a.at - b.at);
  const isLate = ({ at, visibleAt }: Seen) => visibleAt - at > BEHIND_MS;
  const first = inOrder.findIndex(isLate);
  if (first === -1) return 0;
  const onTime = inOrder.findIndex((one, i) => i > first && !isLate(one));
  const waited = inOrder.slice(first, onTime === -1 ? undefined : onTime);
  return Math.max(...waited.map(({ visibleAt }) => visibleAt)) - killedAt;
}
