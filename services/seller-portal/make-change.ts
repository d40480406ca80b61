import type { Client } from '#contracts/client.ts';
import type { Problem } from '#contracts/problems.ts';
import type { Log } from '#platform/log.ts';
import type { Span } from '#platform/span.ts';
import type { ChangeLog } from './change-log.ts';
import { type Command, inverseOf, titleOf } from './command.ts';
import type { Terms } from './form.ts';
import type { Answer, SourceOfTruth, WriteTerms, Written } from './source-of-truth.ts';
import type { TruthReader } from './truth.ts';

export interface Changing {
  readonly source: SourceOfTruth;
  readonly truth: TruthReader;
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
  | { readonly outcome: 'unreachable' | 'unknown' };
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
  { source, truth, changes, log }: Changing,
  sellerId: number,
  command: Command,
  terms: Terms,
  by: { readonly token: string; readonly signal: AbortSignal; readonly span?: Span },
  saying?: (title: string) => string,
): Promise<Result> {
  const before = await truth.read(sellerId, by.signal, by.span);
  if (before.outcome !== 'done') {
    if (before.outcome === 'refused') return before;
    log.warn({ err: before.cause, sellerId }, 'a change was not sent: the list could not be read');
    return { outcome: 'unreachable' };
  }
  // On a repetition the list has moved on already: what was noted then stands, and nothing new is known.
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

  const sent = await send(source, sellerId, command, before.value.clients, {
    token: by.token,
    ifMatch: terms.version,
    idempotencyKey: terms.key,
    signal: by.signal,
    span: by.span,
  });
  if (sent.outcome !== 'done') {
    if (sent.outcome === 'refused') return sent;
    log.warn({ err: sent.cause, sellerId, outcome: sent.outcome }, 'a change was not acknowledged');
    return { outcome: sent.outcome };
  }
  const { version, id, isMisplaced } = sent.value;
  // Only the id of what was added is news: the rest was known before, and on a repetition the list is another one.
  const isAddition = command.kind === 'add' || command.kind === 'restore';
  const inverse = isAddition ? inverseOf(command, [], id) : null;
  await remember('note an acknowledged change', changes.acknowledge(sellerId, terms.key, version, inverse));
  if (version === terms.version) return { outcome: 'unchanged', version };
  return { outcome: isMisplaced ? 'misplaced' : 'changed', version };
}

type Sent = Written & { readonly isMisplaced?: boolean };

function send(
  source: SourceOfTruth,
  sellerId: number,
  command: Command,
  before: readonly Client[],
  terms: WriteTerms,
): Promise<Answer<Sent>> {
  switch (command.kind) {
    case 'add':
      return source.add(sellerId, command.client, terms);
    case 'update':
      return source.update(sellerId, command.clientId, command.client, terms);
    case 'remove':
      return source.remove(sellerId, command.clientId, terms);
    case 'reorder':
      return source.reorder(sellerId, command.clientIds, terms);
    case 'restore':
      return restore(source, sellerId, command, before, terms);
  }
}

/** Two commands, for the source adds at the end only; each has a key of its own, so that both can be repeated. */
async function restore(
  source: SourceOfTruth,
  sellerId: number,
  { client, position }: Command & { kind: 'restore' },
  before: readonly Client[],
  terms: WriteTerms,
): Promise<Answer<Sent>> {
  const added = await source.add(sellerId, client, terms);
  if (added.outcome !== 'done') return added;
  const { id, version } = added.value;
  const others = before.map((one) => one.id).filter((one) => one !== id);
  if (id === null || position >= others.length) return added;
  const placed = await source.reorder(sellerId, others.toSpliced(position, 0, id), {
    ...terms,
    ifMatch: version,
    idempotencyKey: `${terms.idempotencyKey}.place`,
  });
  if (placed.outcome === 'done') return { outcome: 'done', value: { version: placed.value.version, id } };
  if (placed.outcome === 'unknown') return placed;
  return { outcome: 'done', value: { version, id, isMisplaced: true } };
}
