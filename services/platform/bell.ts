/** Each ring wakes all who wait; those who come later wait for the next ring. */
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
