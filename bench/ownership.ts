/**
 * `node bench/ownership.ts`: one run of the comparison in `docs/adr/partition-ownership.md`, with a broker's default
 * settings and the default session timeout, under 300 events a second. Prints a line of JSON, in seconds: from kill -9
 * of the only projector, and of one of two, until the last write that waited for it is visible; and the longest wait of
 * any write while one projector became four, which is the longest pause of any partition.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { startPipeline } from '../services/local-stack/pipeline.ts';
import type { RunningRole } from '../services/local-stack/run-role.ts';
import { openLoad, seedSellers } from './load.ts';
import { observeView } from './observer.ts';
import { caughtUpAfter } from './recovery.ts';

const PER_SECOND = 300;
const SELLERS = 2_000;
const SUPERVISOR = { max: 100, firstDelayMs: 50, maxDelayMs: 500 };
const session = { env: { TC_SESSION_TIMEOUT_MS: '6000' } };
const pipeline = await startPipeline({
  kafka: { properties: { 'group.initial.rebalance.delay.ms': 3_000, 'group.min.session.timeout.ms': 6_000 } },
});
try {
  await seedSellers(pipeline.source, SELLERS);
  await pipeline.relay();
  const projector = await pipeline.projector('projector', { ...session, restart: SUPERVISOR });
  const load = await openLoad(pipeline.postgres.url('source'), SELLERS);
  await load.write(PER_SECOND, 6);

  const watched = async (seconds: number, work: () => Promise<unknown> | unknown) => {
    const observer = await observeView(pipeline);
    const writing = load.write(PER_SECOND, seconds, (one) => observer.expect(one));
    await delay(1_500);
    const since = performance.now();
    const working = work();
    await Promise.all([writing, working]);
    return { seen: await observer.finish(), since };
  };
  const recovery = async (victim: RunningRole) => {
    const { seen, since } = await watched(13, () => victim.kill('SIGKILL'));
    return caughtUpAfter(seen, since) / 1_000;
  };
  const rounded = (seconds: number) => Math.round(seconds * 1_000) / 1_000;

  const alone = await recovery(projector);
  const second = await pipeline.projector('second', session);
  await load.write(PER_SECOND, 6);
  const oneOfTwo = await recovery(second);
  const growing = async (run: number) => {
    const others: RunningRole[] = [];
    const { seen, since } = await watched(11, async () => {
      const names = [2, 3, 4].map((i) => `of-four-${run}-${i}`);
      others.push(...(await Promise.all(names.map((name) => pipeline.projector(name, session)))));
    });
    for (const one of others) await one.stop();
    await load.write(PER_SECOND, 5);
    return (
      Math.max(...seen.filter(({ visibleAt }) => visibleAt > since).map((one) => one.visibleAt - one.at)) /
      1_000
    );
  };
  const pauses = [await growing(1), await growing(2)];
  await load.close();
  process.stdout.write(
    `${JSON.stringify({ alone: rounded(alone), oneOfTwo: rounded(oneOfTwo), pauses: pauses.map(rounded) })}\n`,
  );
} finally {
  await pipeline.stop();
}
