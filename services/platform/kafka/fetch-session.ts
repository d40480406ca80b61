/** What to send of a fetch. */
export interface SessionFetch {
  readonly session: { readonly id: number; readonly epoch: number };
  readonly offsets: ReadonlyMap<number, number>;
  readonly forgotten: readonly number[];
}

/** The first request of a session names all partitions. */
const FIRST = 0;
/** A request outside of any session. */
const NONE = -1;
const LAST = 2 ** 31 - 1;

/**
 * A fetch session with a broker (KIP-227): it knows which partitions are read and from where, so that a request names only
 * those that have changed, and an answer only those that have something to say. Without one a broker takes every partition of
 * every request apart, hundreds of times a second.
 *
 * A broker may refuse a session or forget it at any time. The next request then begins a new one with all partitions.
 */
export class FetchSession {
  #id = 0;
  #epoch = FIRST;
  /** The offsets that the broker has. */
  #known = new Map<number, number>();
  #turn = 0;

  /** @param isPossible false for brokers that have no sessions */
  next(wanted: ReadonlyMap<number, number>, isPossible: boolean): SessionFetch {
    if (!isPossible)
      return { session: { id: 0, epoch: NONE }, offsets: this.#byTurns(wanted), forgotten: [] };
    // Also where the broker gave no session: it may give one now.
    if (this.#epoch === FIRST) {
      const offsets = this.#byTurns(wanted);
      const fetch = { session: { id: this.#id, epoch: FIRST }, offsets, forgotten: [] };
      this.#known = new Map(wanted);
      return fetch;
    }
    const offsets = new Map<number, number>();
    for (const [partition, offset] of wanted) {
      if (this.#known.get(partition) === offset) continue;
      offsets.set(partition, offset);
      this.#known.set(partition, offset);
    }
    const forgotten: number[] = [];
    if (this.#known.size > wanted.size) {
      for (const partition of this.#known.keys()) if (!wanted.has(partition)) forgotten.push(partition);
      for (const partition of forgotten) this.#known.delete(partition);
    }
    return { session: { id: this.#id, epoch: this.#epoch }, offsets, forgotten };
  }

  /** The first one is served first, so each request begins with another. In a session the broker sees to that. */
  #byTurns(wanted: ReadonlyMap<number, number>): ReadonlyMap<number, number> {
    const all = [...wanted];
    const first = all.length > 0 ? this.#turn++ % all.length : 0;
    return new Map([...all.slice(first), ...all.slice(0, first)]);
  }

  /** @param id of the session as of a good answer; 0 when the broker has none for us */
  answered(id: number): void {
    if (id === 0) this.#epoch = FIRST;
    else this.#epoch = this.#epoch === LAST ? FIRST + 1 : this.#epoch + 1;
    this.#id = id;
  }

  /** After a failure nothing is known of what the broker has. The old session's id lets the broker end it. */
  begin(): void {
    this.#epoch = FIRST;
  }
}
