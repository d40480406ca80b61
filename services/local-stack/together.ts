/** As Promise.all, but a failure waits for the others: what they start must be known before all is stopped. */
export async function together<T extends readonly unknown[]>(
  all: readonly [...T],
): Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }> {
  await Promise.allSettled(all);
  return Promise.all(all) as Promise<{ -readonly [K in keyof T]: Awaited<T[K]> }>;
}
