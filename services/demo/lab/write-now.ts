import { pause } from '#platform/lifecycle.ts';
import { silentLog } from '#platform/log.ts';
import type { Issuer } from '../../issuer/issuer.ts';
import type { Refused } from '../../source-client/answer.ts';
import { plainIdentity } from '../../source-client/caller-identity.ts';
import { openSourceApi } from '../../source-client/source-api.ts';
import { openTransport } from '../../source-client/transport.ts';
import { innerUrl, type Ports } from '../addresses.ts';
import { CARDS, type Card } from './cards.ts';
import type { Measured, Measurements } from './measurements.ts';
import { type Ask, WATCHED } from './probe.ts';

const DEADLINE_MS = 2_000;
/** How long a card waits for its page to show a write. */
const PATIENCE_MS = 15_000;
const BETWEEN_LOOKS_MS = 3;
/** At first milliseconds matter; after that a waiting write must not stop the probe. */
const CLOSE_LOOK_MS = 300;

/**
 * Makes one edit as the watched seller, through the source's HTTP contract: the first client moves to the end. Then
 * watches every card's page until it shows the new version, and records how long that took since the answer.
 * @returns when each was seen, or patience ended
 */
export async function writeNow(
  ports: Ports,
  issuer: Issuer,
  ask: Ask,
  isThere: (card: Card) => boolean,
  into: Measurements,
  signal: AbortSignal,
): Promise<void> {
  into.closeLookUntil = performance.now() + DEADLINE_MS;
  for (const measured of Object.values<Measured>(into.cards)) measured.write = null;
  const version = await edit(ports, issuer, signal);
  const committed = performance.now();
  if (typeof version === 'string') {
    into.closeLookUntil = 0;
    into.lastWrite = version;
    return;
  }
  into.closeLookUntil = committed + CLOSE_LOOK_MS;
  into.lastWrite = `Version ${version} is written: the first client moved to the end.`;
  await Promise.all(
    CARDS.filter(isThere).map(async (card) => {
      const measured = into.cards[card.name];
      if (card.name === 'off') return;
      measured.write = { kind: 'waiting' };
      while (!signal.aborted) {
        const seen = await ask(card);
        const afterMs = performance.now() - committed;
        if (seen.version !== null && seen.version >= version) {
          measured.write = { kind: 'shown', afterMs };
          return;
        }
        if (afterMs > PATIENCE_MS) {
          measured.write = { kind: 'not shown', withinMs: PATIENCE_MS };
          return;
        }
        await pause(afterMs < CLOSE_LOOK_MS ? BETWEEN_LOOKS_MS : 100, signal);
      }
    }),
  );
}

/** @returns the version written, or a sentence about why none was */
async function edit(ports: Ports, issuer: Issuer, signal: AbortSignal): Promise<number | string> {
  const transport = openTransport(
    { url: innerUrl(ports['top-clients']), concurrency: 1, breakMs: 0, identity: plainIdentity(null) },
    silentLog,
  );
  const source = openSourceApi(transport);
  const call = { deadlineMs: DEADLINE_MS, signal };
  const { sellerId } = WATCHED;
  try {
    const list = await source.list(sellerId, call);
    if (list.outcome === 'refused') return refusal(list);
    if (list.outcome !== 'ok') return DOWN;
    const [first, ...others] = list.value.clients.map(({ id }) => id);
    if (others.length === 0) {
      return 'The seller has fewer than two clients, so there is nothing to reorder: add one in the self-view.';
    }
    const token = (await issuer.token(sellerId)).access_token;
    const written = await source.reorder(sellerId, [...others, first!], { token }, call);
    if (written.outcome === 'refused') return refusal(written);
    if (written.outcome === 'ok') return written.value.version;
    return written.mayHaveArrived ? NOT_ANSWERED : DOWN;
  } finally {
    await transport.close();
  }
}

const DOWN =
  'The source did not take the write: it is down. Nothing was changed, and nothing pretends it was.';
const NOT_ANSWERED =
  'The source did not answer the write in time: it may have been made or not, and nothing pretends to know.';
const refusal = ({ problem }: Refused) =>
  `The source refused the write (${problem.status}): ${problem.detail}`;
