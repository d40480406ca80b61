import type { ClientList, PageClient } from './page.ts';

// What an entry costs beside its text, so that many empty lists are bounded too.
const ENTRY = 200;

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

  /** Parses and remembers a list that the view sent; `clients` is JSON text. */
  remember(id: number, version: number, committedAt: Date, clients: string): ClientList {
    const parsed = JSON.parse(clients) as PageClient[];
    const list = { version, committedAt: committedAt.getTime(), clients: parsed, total: parsed.length };
    this.forget(id);
    const size = clients.length + ENTRY;
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
