import type { ClientList, PageClient } from './page.ts';

// What an entry costs beside its text, so that many empty lists are bounded too.
const ENTRY = 200;

/**
 * The column in which the view answers what `RecentLists` reads: null without a row, empty when it still holds the
 * remembered version, else `<version> <seconds since 1970> <JSON of the clients>`. One column, because every column
 * costs again at every row, and a subquery, because a join would carry all of the page's own columns once more.
 * @param seller the seller's column in the page's row
 * @param remembered the parameter with the version that need not be sent again
 */
export const listUnless = (seller: string, remembered: string): string =>
  `(select case when held.version = ${remembered} then ''
    else concat_ws(' ', held.version, extract(epoch from held.committed_at), held.clients) end
  from top_clients as held where held.seller_id = ${seller})`;

/**
 * Lists read lately, by the id of a page. A statement tells the database which version is remembered, and the list
 * is sent only when the view holds another one: what is shown is always what the view holds now, while sending,
 * parsing and rendering a list is done once a version.
 */
export class RecentLists {
  readonly #lists = new Map<number, { list: ClientList; size: number }>();
  readonly #capacity: number;
  #size = 0;

  /** @param capacity characters of JSON in all; the memory used is about six times that in bytes */
  constructor(capacity = 8_000_000) {
    this.#capacity = capacity;
  }

  get(id: number): ClientList | undefined {
    const known = this.#lists.get(id);
    if (known === undefined) return undefined;
    // Newest last: the first of the map is the one to evict.
    this.#lists.delete(id);
    this.#lists.set(id, known);
    return known.list;
  }

  /**
   * Reads what the view answered in the column of `listUnless`.
   * @param remembered what `get` gave before the statement was sent
   * @returns undefined when the view has no row
   */
  read(id: number, answer: string | null, remembered: ClientList | undefined): ClientList | undefined {
    if (answer === null) this.forget(id);
    if (answer === null || answer === '') return answer === null ? undefined : remembered;
    const afterVersion = answer.indexOf(' ');
    const afterTime = answer.indexOf(' ', afterVersion + 1);
    const clients = JSON.parse(answer.slice(afterTime + 1)) as PageClient[];
    const list = {
      version: Number(answer.slice(0, afterVersion)),
      committedAt: Math.round(Number(answer.slice(afterVersion + 1, afterTime)) * 1_000),
      clients,
      total: clients.length,
    };
    this.forget(id);
    const size = answer.length + ENTRY;
    this.#lists.set(id, { list, size });
    this.#size += size;
    for (const [oldest] of this.#lists) {
      if (this.#size <= this.#capacity) break;
      this.forget(oldest);
    }
    return list;
  }

  forget(id: number): void {
    this.#size -= this.#lists.get(id)?.size ?? 0;
    this.#lists.delete(id);
  }
}
