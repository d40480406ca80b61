import { type Clock, SYSTEM_CLOCK } from '#platform/clock.ts';
import type { ClientList, ListMemory, PageClient, ToldOfChanges } from './page.ts';

// What an entry costs beside its text, so that many empty lists, and sellers without one, are bounded too.
const ENTRY = 200;
const ENTRY_WITHOUT_LIST = 40;
/**
 * The trust time, in ms: a list is asked for again after this long even if nobody told of a change. Whatever keeps a
 * process from being told ends here: a lost notification, a replica behind, a queue that took none.
 */
export const LONGEST_TRUST_MS = 5_000;
/** No page waits longer for its database, in ms. */
const LONGEST_ANSWER_MS = 60_000;

export interface RecentList {
  readonly sellerId: number;
  /** Null where the view has no row. */
  readonly list: ClientList | null;
  /** Of all that the view answered, as the view made it; null where it has no row. */
  readonly digest: string | null;
  readonly size: number;
  /** When the statement was sent that last found it so, on the clock's monotonic time. */
  askedAt: number;
}

/**
 * The column in which the view answers what `RecentLists` reads: null without a row, empty when the row still says what
 * is remembered, else `<digest> <version> <seconds since 1970> <JSON of the clients>`. The digest is of all the rest, for
 * the version alone does not tell: a repair replaces a wrong row and keeps its version, and a database that was restored
 * may have another row under the same one. One column, because every column costs again at every row, and a subquery,
 * because a join would carry all of the page's own columns once more. `offset 0` keeps PostgreSQL from writing the answer
 * into the statement, and making it, three times.
 * @param seller the seller's column in the page's row
 * @param remembered the parameter with the digest of what need not be sent again; null: everything is sent
 */
export const listUnless = (seller: string, remembered: string): string =>
  `(select case when hashtextextended(answer, 0) = ${remembered}::bigint then ''
    else concat_ws(' ', hashtextextended(answer, 0), answer) end
  from (select concat_ws(' ', held.version, extract(epoch from held.committed_at), held.clients) as answer
    from top_clients as held where held.seller_id = ${seller} offset 0) as told)`;

/**
 * Lists read lately, by the id of a page. Where the process is told of changes, one that nobody told of is shown as it
 * is, for the trust time, and one that somebody told of is forgotten. Else the statement tells the database by a digest
 * what is remembered, and the list is sent only when the view says something else: sending, parsing and rendering a list
 * is done once a content.
 */
export class RecentLists implements ListMemory {
  readonly #lists = new Map<number, RecentList>();
  /** When a seller was last to be forgotten: what was asked for before and comes later is not remembered. */
  readonly #forgottenAt = new Map<number, number>();
  /** And so of every seller. */
  #allForgottenAt = Number.NEGATIVE_INFINITY;
  readonly #told: ToldOfChanges;
  readonly #clock: Pick<Clock, 'monotonic'>;
  readonly #capacity: number;
  #size = 0;

  /**
   * @param clock of whoever tells as well
   * @param capacity characters of JSON in all; the memory used is about six times that in bytes
   */
  constructor(
    told: ToldOfChanges,
    clock: Pick<Clock, 'monotonic'> = SYSTEM_CLOCK,
    capacity: number = 8_000_000,
  ) {
    this.#told = told;
    this.#clock = clock;
    this.#capacity = capacity;
    told.remembering?.(this);
  }

  forgetSeller(sellerId: number): void {
    const now = this.now();
    for (const [seller, at] of this.#forgottenAt) {
      if (at > now - LONGEST_ANSWER_MS) break;
      this.#forgottenAt.delete(seller);
    }
    this.#forgottenAt.delete(sellerId);
    this.#forgottenAt.set(sellerId, now);
    for (const [id, list] of this.#lists) if (list.sellerId === sellerId) this.#forget(id);
  }

  forgetUnlessAskedWithin(ms: number): void {
    const oldest = this.now() - ms;
    this.#allForgottenAt = oldest;
    for (const [id, { askedAt }] of this.#lists) if (askedAt <= oldest) this.#forget(id);
  }

  /** The time that `askedAt` is of. */
  now(): number {
    return this.#clock.monotonic();
  }

  /** @returns what is remembered; nothing when somebody told that it has changed */
  get(id: number): RecentList | undefined {
    const known = this.#lists.get(id);
    if (known === undefined) return undefined;
    if (this.#told.hasChanged(known.sellerId, known.askedAt)) {
      this.#forget(id);
      return undefined;
    }
    // Newest last: the first of the map is the one to evict.
    this.#lists.delete(id);
    this.#lists.set(id, known);
    return known;
  }

  /**
   * Whether it may be shown without asking the view.
   * @param least the version that the reader has seen already
   */
  isCurrent({ sellerId, list, askedAt }: RecentList, least: number): boolean {
    return (
      this.now() - askedAt < LONGEST_TRUST_MS &&
      (list?.version ?? 0) >= least &&
      this.#told.isUnchanged(sellerId, askedAt)
    );
  }

  /**
   * Reads what the view answered in the column of `listUnless`.
   * @param remembered what `get` gave before the statement was sent
   * @param askedAt when it was sent, as `now()` told
   * @returns null when the view has no row
   */
  read(
    id: number,
    sellerId: number,
    answer: string | null,
    remembered: RecentList | undefined,
    askedAt: number,
  ): ClientList | null {
    if (answer === '') {
      remembered!.askedAt = Math.max(remembered!.askedAt, askedAt);
      return remembered!.list;
    }
    const list = answer === null ? null : parse(answer);
    // An answer that was overtaken is right for who asked, and says nothing of now.
    if ((this.#lists.get(id)?.askedAt ?? Number.NEGATIVE_INFINITY) > askedAt) return list;
    if (
      askedAt <= Math.max(this.#allForgottenAt, this.#forgottenAt.get(sellerId) ?? Number.NEGATIVE_INFINITY)
    )
      return list;
    const digest = answer === null ? null : answer.slice(0, answer.indexOf(' '));
    const size = answer === null ? ENTRY_WITHOUT_LIST : answer.length + ENTRY;
    this.#forget(id);
    this.#lists.set(id, { sellerId, list, digest, size, askedAt });
    this.#size += size;
    for (const [oldest] of this.#lists) {
      if (this.#size <= this.#capacity) break;
      this.#forget(oldest);
    }
    return list;
  }

  #forget(id: number): void {
    this.#size -= this.#lists.get(id)?.size ?? 0;
    this.#lists.delete(id);
  }
}

function parse(answer: string): ClientList {
  const afterDigest = answer.indexOf(' ');
  const afterVersion = answer.indexOf(' ', afterDigest + 1);
  const afterTime = answer.indexOf(' ', afterVersion + 1);
  const clients = JSON.parse(answer.slice(afterTime + 1)) as PageClient[];
  return {
    version: Number(answer.slice(afterDigest + 1, afterVersion)),
    committedAt: Math.round(Number(answer.slice(afterVersion + 1, afterTime)) * 1_000),
    clients,
    total: clients.length,
  };
}

/**
 * `Reads.withLists` of a page of one seller: from memory where that is current, else from the view.
 * @param id of the page
 * @param least the version that the reader has seen already, by seller
 * @param readOwn reads the page's own row alone
 * @param readBoth reads it with the column of `listUnless`, given the digest of what is remembered
 */
export async function readWithList<Own extends { readonly seller_id: number }>(
  recent: RecentLists,
  id: number,
  least: (sellerId: number) => number,
  readOwn: () => Promise<Own | null>,
  readBoth: (remembered: string | null) => Promise<ReadonlyArray<Own & { readonly held: string | null }>>,
): Promise<{ own: Own; held: ReadonlyMap<number, ClientList> } | null> {
  const remembered = recent.get(id);
  if (remembered !== undefined && recent.isCurrent(remembered, least(remembered.sellerId))) {
    const own = await readOwn();
    return own === null ? null : { own, held: heldBy(own.seller_id, remembered.list) };
  }
  const askedAt = recent.now();
  const [own] = await readBoth(remembered?.digest ?? null);
  if (own === undefined) return null;
  const list = recent.read(id, own.seller_id, own.held, remembered, askedAt);
  return { own, held: heldBy(own.seller_id, list) };
}

const heldBy = (sellerId: number, list: ClientList | null): ReadonlyMap<number, ClientList> =>
  list === null ? NOTHING_HELD : new Map([[sellerId, list]]);
const NOTHING_HELD: ReadonlyMap<number, ClientList> = new Map();
