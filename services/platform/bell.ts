/** Wakes everybody who waits, each time it rings; who comes later waits for the next time. */
export class Bell {
  #next = Promise.withResolvers<void>();

  ring(): void {
    const rung = this.#next;
    this.#next = Promise.withResolvers();
    rung.resolve();
  }

  next(): Promise<void> {
    return this.#next.promise;
  }
}
