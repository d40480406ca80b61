import type { Delivery, Outcome } from '#contracts/delivery.ts';
import type { ClientList, Page, PageDatabase, Reads, ShownList } from '#pages/page.ts';
import type { PageReads } from '../source-client/page-reads.ts';
import type { Call } from '../source-client/transport.ts';
import {
  type Decision,
  decideWithIds,
  decideWithList,
  decideWithNothing,
  isBeyond,
  settle,
  worst,
} from './decide.ts';
import type { MinVersion } from './min-version.ts';

export interface Delivered {
  readonly own: unknown;
  /** By seller; null when the feature is off. */
  readonly shown: ReadonlyMap<number, ShownList> | null;
  readonly outcome: Outcome | null;
  /** Milliseconds spent waiting for the own database and for the source, for `Server-Timing`; the two may overlap. */
  readonly ownMs: number;
  readonly sourceMs: number;
}

type Settled = Pick<Delivered, 'shown' | 'outcome' | 'sourceMs'>;

/** Why a reader who asked for a version gets no page. */
export type Undelivered =
  /** Nobody has that version. */
  | { readonly undelivered: 'beyond'; readonly sellerId: number; readonly version: number }
  /** The reader has caused too many calls to the source of truth. */
  | { readonly undelivered: 'limited'; readonly waitSeconds: number };

export interface DeliverySettings {
  readonly delivery: Delivery;
  /** `synchronous` only: ask the source of truth while the page reads its own database. */
  readonly parallel: boolean;
}

/** What one request brings along. */
export interface DeliveryRequest {
  readonly address: unknown;
  readonly minVersion: MinVersion;
  readonly db: PageDatabase;
  /** The call to the source of truth that may be made now; its deadline shrinks with what is left for the page. */
  readonly call: () => Call;
  /** Takes a call from the reader's limit for `minVersion`; when it is used up, how many seconds there are to wait. */
  readonly mayCauseCall: () => 'yes' | { readonly waitSeconds: number };
}

/**
 * Gets what a page shows, the way its delivery says.
 * @returns null when the address leads to nothing
 * @throws when the page's own database fails; never because of the source of truth
 */
export async function deliver(
  page: Pick<Page, 'shows' | 'sellersOf'>,
  reads: Reads<unknown, unknown>,
  source: PageReads,
  settings: DeliverySettings,
  request: DeliveryRequest,
): Promise<Delivered | Undelivered | null> {
  const { address, db, minVersion } = request;
  const began = performance.now();
  const elapsed = () => performance.now() - began;

  switch (settings.delivery) {
    case 'off': {
      const own = await reads.own(db, address);
      return own === null ? null : { own, shown: null, outcome: null, ownMs: elapsed(), sourceMs: 0 };
    }
    case 'asynchronous': {
      const read = await reads.withLists(db, address, minVersion);
      if (read === null) return null;
      const ownMs = elapsed();
      return finish(
        read.own,
        page.sellersOf(read.own),
        (id) => decideWithList(read.held.get(id), minVersion(id)),
        ownMs,
      );
    }
    case 'hybrid': {
      const read = await reads.withIds(db, address);
      if (read === null) return null;
      const ownMs = elapsed();
      return finish(
        read.own,
        page.sellersOf(read.own),
        (id) => decideWithIds(read.held.get(id), minVersion(id)),
        ownMs,
      );
    }
    case 'synchronous': {
      if (!settings.parallel) {
        const own = await reads.own(db, address);
        return own === null ? null : finish(own, page.sellersOf(own), decideWithNothing, elapsed());
      }
      const first = await reads.sellersFirst(db, address);
      if (first === null) return null;
      // Neither waits for the other; the call to the source cannot reject.
      const [own, asked] = await Promise.all([
        first.own().then((value) => ({ value, ms: elapsed() })),
        settleAll(first.sellers, decideWithNothing),
      ]);
      if (own.value === null) return null;
      return 'undelivered' in asked ? asked : { own: own.value, ...asked, ownMs: own.ms };
    }
  }

  async function finish(
    own: unknown,
    sellers: readonly number[],
    decide: (sellerId: number) => Decision,
    ownMs: number,
  ): Promise<Delivered | Undelivered> {
    const settled = await settleAll(sellers, decide);
    return 'undelivered' in settled ? settled : { own, ...settled, ownMs };
  }

  async function settleAll(
    sellers: readonly number[],
    decide: (sellerId: number) => Decision,
  ): Promise<Settled | Undelivered> {
    const shown = new Map<number, ShownList>();
    const asking: Array<{ sellerId: number; decision: Exclude<Decision, { do: 'show' }> }> = [];
    for (const sellerId of sellers) {
      const decision = decide(sellerId);
      if (decision.do === 'show') shown.set(sellerId, decision.shown);
      else if (page.shows === 'one seller' || decision.do === 'ask for the list') {
        asking.push({ sellerId, decision });
      } else {
        // Many sellers are asked for in one call, which brings whole lists.
        const { held, otherwise } = decision;
        asking.push({ sellerId, decision: { do: 'ask for the list', known: held.version, otherwise } });
      }
    }
    let sourceMs = 0;
    if (asking.length > 0) {
      // Under `synchronous` every page asks the source, so that no version causes a call.
      const isCaused =
        settings.delivery !== 'synchronous' &&
        asking.some(
          ({ sellerId, decision }) =>
            decision.do === 'ask for the list' && minVersion(sellerId) > decision.known,
        );
      const may = isCaused ? request.mayCauseCall() : 'yes';
      if (may !== 'yes') return { undelivered: 'limited', ...may };
      const asked = performance.now();
      const answers = await ask(asking);
      sourceMs = performance.now() - asked;
      for (const { sellerId, decision } of asking) {
        const answer = answers(sellerId);
        if (isBeyond(decision, answer, minVersion(sellerId))) {
          return { undelivered: 'beyond', sellerId, version: answer.version };
        }
        shown.set(sellerId, settle(decision, answer, minVersion(sellerId)));
      }
    }
    const outcome = worst(shown.values());
    return { shown, outcome, sourceMs };
  }

  /** One call, whatever the number of sellers: a page of many asks for all of them at once. */
  async function ask(
    asking: ReadonlyArray<{ sellerId: number; decision: Exclude<Decision, { do: 'show' }> }>,
  ): Promise<(sellerId: number) => ClientList | null> {
    if (page.shows === 'many sellers') {
      const answer = await source.lists(
        asking.map(({ sellerId }) => sellerId),
        request.call(),
      );
      return (sellerId) => (answer.outcome === 'ok' ? (answer.value.get(sellerId) ?? null) : null);
    }
    const { sellerId, decision } = asking[0]!;
    const answer =
      decision.do === 'ask for clients'
        ? await source.clients(sellerId, decision.held.clientIds, request.call())
        : await source.list(sellerId, request.call());
    return () => (answer.outcome === 'ok' ? answer.value : null);
  }
}
