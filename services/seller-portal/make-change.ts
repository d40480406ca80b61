import type { Client } from '#contracts/client.ts';
import type { Problem } from '#contracts/problems.ts';
import type { Log } from '#platform/log.ts';
import type { SourceAnswer } from '../source-client/answer.ts';
import type { SourceApi, WriteTerms, Written } from '../source-client/source-api.ts';
import type { Call } from '../source-client/transport.ts';
import type { ChangeLog } from './change-log.ts';
import { inverseOf, type PortalCommand, titleOf } from './command.ts';
import type { Terms } from './form.ts';
import type { ReadYourWrites } from './read-your-writes.ts';

export interface Changing {
  readonly source: Pick<SourceApi, 'add' | 'update' | 'remove' | 'reorder'>;
  readonly reads: ReadYourWrites;
  readonly changes: ChangeLog;
  readonly log: Log;
}

/**
 * What became of a change. `unchanged`: the list was already so. `misplaced`: a client is back, at the end of the
 * list and not where it was.
 */
export type Result =
  | Acknowledged
  | { readonly outcome: 'refused'; readonly problem: Problem; readonly retryAfterSeconds: number | null }
  | { readonly outcome: NotAcknowledged };
/** `unknown`: no answer came, so the change may have been made or not. */
export type NotAcknowledged = 'not-sent' | 'unknown';
export interface Acknowledged {
  readonly outcome: 'changed' | 'unchanged' | 'misplaced';
  readonly version: number;
}

/**
 * Sends one command to the source of truth and remembers how to take it back.
 * @param terms of the form: the version the seller saw, and the key under which a repetition is known
 * @param saying replaces the words that announce the change
 */
export async function makeChange(
  { source, reads, changes, log }: Changing,
  sellerId: number,
  command: PortalCommand,
  terms: Terms,
  by: { readonly token: string; readonly call: () => Call },
  saying?: (title: string) => string,
): Promise<Result> {
  const before = await reads.list(sellerId, by.call);
  if (before.outcome !== 'ok') {
    if (before.outcome === 'refused') return before;
    log.warn({ err: before.cause, sellerId }, 'a change was not sent: the list could not be read');
    return { outcome: 'not-sent' };
  }
  // On a repetition the list has changed already: the first note stays, and this one knows no inverse.
  const isSeenList = before.value.version === terms.version;
  const title = titleOf(command, before.value.clients);
  const note = {
    title: saying ? saying(title) : title,
    inverse: isSeenList ? inverseOf(command, before.value.clients, null) : null,
    madeFor: Math.min(terms.version, before.value.version),
  };
  const remember = async (what: string, work: Promise<void>) => {
    await work.catch((err: unknown) => log.error({ err, sellerId }, `could not ${what}`));
  };
  await remember('note a change before it is sent', changes.begin(sellerId, terms.key, note));

  const safe = { token: by.token, ifMatch: terms.version, idempotencyKey: terms.key };
  const sent = await send(source, sellerId, command, before.value.clients, safe, by.call);
  if (sent.outcome !== 'ok') {
    if (sent.outcome === 'refused') return sent;
    log.warn({ err: sent.cause, sellerId, outcome: sent.outcome }, 'a change was not acknowledged');
    return { outcome: sent.mayHaveArrived ? 'unknown' : 'not-sent' };
  }
  const { version, id, isMisplaced } = sent.value;
  // Only the id of an added client is new: the rest was known before, and on a repetition the list is another one.
  const isAddition = command.kind === 'add' || command.kind === 'restore';
  const inverse = isAddition ? inverseOf(command, [], id) : null;
  await remember('note an acknowledged change', changes.acknowledge(sellerId, terms.key, version, inverse));
  if (version === terms.version) return { outcome: 'unchanged', version };
  return { outcome: isMisplaced ? 'misplaced' : 'changed', version };
}

/** The terms of a write with all that makes it safe to repeat. */
type SafeTerms = Required<WriteTerms>;
type Sent = Written & { readonly isMisplaced?: boolean };

function send(
  source: Changing['source'],
  sellerId: number,
  command: PortalCommand,
  before: readonly Client[],
  terms: SafeTerms,
  call: () => Call,
): Promise<SourceAnswer<Sent>> {
  switch (command.kind) {
    case 'add':
      return source.add(sellerId, command.client, terms, call());
    case 'update':
      return source.update(sellerId, command.clientId, command.client, terms, call());
    case 'remove':
      return source.remove(sellerId, command.clientId, terms, call());
    case 'reorder':
      return source.reorder(sellerId, command.clientIds, terms, call());
    case 'restore':
      return restore(source, sellerId, command, before, terms, call);
  }
}

/** Two commands, for the source adds at the end only; each has a key of its own, so that both can be repeated. */
async function restore(
  source: Changing['source'],
  sellerId: number,
  { client, position }: PortalCommand & { kind: 'restore' },
  before: readonly Client[],
  terms: SafeTerms,
  call: () => Call,
): Promise<SourceAnswer<Sent>> {
  const added = await source.add(sellerId, client, terms, call());
  if (added.outcome !== 'ok') return added;
  const { id, version } = added.value;
  const others = before.map((one) => one.id).filter((one) => one !== id);
  if (id === null || position >= others.length) return added;
  const key = `${terms.idempotencyKey}.place`;
  const placing = { ...terms, ifMatch: version, idempotencyKey: key };
  const placed = await source.reorder(sellerId, others.toSpliced(position, 0, id), placing, call());
  if (placed.outcome === 'ok') return { outcome: 'ok', value: { version: placed.value.version, id } };
  if (placed.outcome !== 'refused' && placed.mayHaveArrived) return placed;
  return { outcome: 'ok', value: { version, id, isMisplaced: true } };
}
