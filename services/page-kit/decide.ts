import type { Outcome } from '#contracts/delivery.ts';
import type { ClientIds, ClientList, ShownList } from '#pages/page.ts';

/** What is to be done about one seller of a page, once the page's own database has answered. */
export type Decision =
  /** Nothing more is needed. */
  | { readonly do: 'show'; readonly shown: ShownList }
  /**
   * Ask the source of truth for the whole list, and show `otherwise` when it does not answer in time. `known` is the
   * version the page has without asking.
   */
  | { readonly do: 'ask for the list'; readonly known: number; readonly otherwise: ShownList }
  /** Ask the source of truth for the clients the view names, and show `otherwise` when it does not answer in time. */
  | { readonly do: 'ask for clients'; readonly held: ClientIds; readonly otherwise: ShownList };

export const MISSING: ShownList = { outcome: 'missing', list: null };

/**
 * A seller without a row never changed a list: events reach the view for every seller that did, and a row stays behind
 * when the last client goes or the seller is erased. So a missing row is a full answer at version 0, without a call.
 */
const NEVER: ClientList = { version: 0, committedAt: null, clients: [], total: 0 };

const shownAt = (list: ClientList, minVersion: number): ShownList => ({
  outcome: list.version >= minVersion ? 'full' : 'stale',
  list,
});

/** The page holds whole lists: the source of truth is only asked when the reader has seen a newer version. */
export function decideWithList(held: ClientList | undefined, minVersion: number): Decision {
  const list = held ?? NEVER;
  const shown = shownAt(list, minVersion);
  return shown.outcome === 'full'
    ? { do: 'show', shown }
    : { do: 'ask for the list', known: list.version, otherwise: shown };
}

/** The page holds ids: the source of truth is asked for sellers who have clients, and spared for the others. */
export function decideWithIds(held: ClientIds | undefined, minVersion: number): Decision {
  if (held === undefined || held.clientIds.length === 0) {
    const { version, committedAt } = held ?? NEVER;
    return decideWithList({ version, committedAt, clients: [], total: 0 }, minVersion);
  }
  return held.version >= minVersion
    ? { do: 'ask for clients', held, otherwise: MISSING }
    : { do: 'ask for the list', known: held.version, otherwise: MISSING };
}

/** The page holds nothing. */
export const decideWithNothing = (): Decision => ({ do: 'ask for the list', known: 0, otherwise: MISSING });

/**
 * Whether the reader asked for a version that neither the page nor the source of truth has. The source was asked for
 * the list after the reader's request came, so that version does not exist: the reader is mistaken, and no promise is
 * broken.
 */
export const isBeyond = (
  decision: Exclude<Decision, { do: 'show' }>,
  answer: ClientList | null,
  minVersion: number,
): answer is ClientList =>
  decision.do === 'ask for the list' &&
  answer !== null &&
  minVersion > Math.max(answer.version, decision.known);

/**
 * What is shown after the source of truth was asked. A list from the source is the newest there is. If it is still
 * older than the version that the reader asked for and the page had, that version was lost, and the page says so.
 * Clients that were asked for by id are up to date, but the view chose them: the page is at the view's version.
 */
export function settle(
  decision: Exclude<Decision, { do: 'show' }>,
  answer: ClientList | null,
  minVersion: number,
): ShownList {
  if (answer === null) return decision.otherwise;
  if (decision.do === 'ask for the list') return shownAt(answer, minVersion);
  const { version, committedAt } = decision.held;
  return shownAt({ ...answer, version, committedAt }, minVersion);
}

const RANK: Readonly<Record<Outcome, number>> = { full: 0, stale: 1, missing: 2 };

/** The outcome of a page that shows several sellers: the worst of theirs. */
export function worst(shown: Iterable<ShownList>): Outcome {
  let result: Outcome = 'full';
  for (const { outcome } of shown) if (RANK[outcome] > RANK[result]) result = outcome;
  return result;
}
