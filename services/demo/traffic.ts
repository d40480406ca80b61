// undici's own fetch: Node's accepts only dispatchers of the undici version it was built with.
import { Agent, fetch } from 'undici';
import { pause } from '#platform/lifecycle.ts';
import { silentLog } from '#platform/log.ts';
import type { Issuer } from '../issuer/issuer.ts';
import { randomFor, zipf } from '../seed/random.ts';
import { plainIdentity } from '../source-client/caller-identity.ts';
import { openSourceApi } from '../source-client/source-api.ts';
import { openTransport } from '../source-client/transport.ts';
import { innerUrl, type Ports } from './addresses.ts';

const REQUESTS_PER_SECOND = 20;
/** When the pages are slow, further visitors leave instead of queueing. */
const MOST_AT_ONCE = 10;
const DEADLINE_MS = 3_000;
const QUERIES = ['logo', 'video', 'website', 'voice', 'translate', 'illustration', 'data', 'photo', ''];
/** The first sellers are left to the person at the demo. */
const LEFT_ALONE = 10;

/**
 * Made-up visitors and sellers: about 20 requests a second, popular sellers far more often than others. One in twenty
 * edits a list and undoes the edit the next time, so lists stay about as they were seeded.
 * @returns a function that stops it
 */
export function startTraffic(ports: Ports, sellers: number, issuer: Issuer): () => Promise<void> {
  const stopping = new AbortController();
  const agent = new Agent({ connections: 4, pipelining: 1 });
  // Different visits at every start.
  const random = randomFor('traffic', Date.now());
  const popular = zipf(sellers, 1);
  let atOnce = 0;

  const visit = async (url: string) => {
    const signal = AbortSignal.any([stopping.signal, AbortSignal.timeout(DEADLINE_MS)]);
    const answer = await fetch(url, { dispatcher: agent, signal });
    await answer.body?.cancel();
  };

  const transport = openTransport(
    { url: innerUrl(ports['top-clients']), concurrency: 4, breakMs: 1_000, identity: plainIdentity(null) },
    silentLog,
  );
  const source = openSourceApi(transport);
  const call = { deadlineMs: DEADLINE_MS, signal: stopping.signal };
  // The results of edits are measured elsewhere.
  const edit = async (sellerId: number): Promise<unknown> => {
    const list = await source.list(sellerId, call);
    if (list.outcome !== 'ok' || list.value.clients.length === 0) return;
    const { clients } = list.value;
    const token = (await issuer.token(sellerId)).access_token;
    const [first, ...others] = clients.map(({ id }) => id);
    if (others.length > 0 && random.chance(0.6)) {
      return source.reorder(sellerId, [...others, first!], { token }, call);
    }
    const client = random.pick(clients);
    const mark = ' (and more to come)';
    const description = client.description.endsWith(mark)
      ? client.description.slice(0, -mark.length)
      : client.description.slice(0, 400) + mark;
    return source.update(sellerId, client.id, { description }, { token }, call);
  };

  const one = (): Promise<unknown> => {
    const seller = 1 + popular(random);
    const lot = random.fraction();
    if (lot < 0.05) return seller > LEFT_ALONE ? edit(seller) : Promise.resolve();
    if (lot < 0.6) return visit(`${innerUrl(ports.gig)}/gigs/${seller}`);
    if (lot < 0.8) return visit(`${innerUrl(ports.user)}/users/${seller}`);
    return visit(`${innerUrl(ports.search)}/search?q=${random.pick(QUERIES)}`);
  };

  const running = (async () => {
    while (!stopping.signal.aborted) {
      if (atOnce < MOST_AT_ONCE) {
        atOnce += 1;
        // A visitor leaves a broken page; failures are measured elsewhere.
        void one()
          .catch(() => {})
          .finally(() => {
            atOnce -= 1;
          });
      }
      // Exponential gaps: visitors arrive independently.
      await pause((-Math.log(1 - random.fraction()) * 1_000) / REQUESTS_PER_SECOND, stopping.signal);
    }
  })();
  return async () => {
    stopping.abort();
    await running;
    await Promise.all([agent.destroy(), transport.close()]);
  };
}
