import type { TopicMessage } from './topic.ts';

/**
 * What Kafka keeps of a topic once it has compacted all of it: the last message of each key in each partition.
 * @param expired whether `delete.retention.ms` has passed since, so that no null is left either
 */
export function compacted(messages: readonly TopicMessage[], expired: boolean): TopicMessage[] {
  const last = new Map<string, TopicMessage>();
  for (const one of messages) {
    const at = `${one.partition}/${one.sellerId}`;
    if ((last.get(at)?.offset ?? -1) < one.offset) last.set(at, one);
  }
  return [...last.values()].filter(({ value }) => !expired || value !== null);
}

interface Shown {
  readonly version: number;
  readonly names: readonly string[];
}

/**
 * What a view shows that is built anew from these messages: of each seller the newest version, wherever it stands.
 * Sellers who show nothing are left out.
 */
export function viewOf(messages: readonly TopicMessage[]): Map<number, Shown> {
  const view = new Map<number, Shown>();
  for (const { sellerId, value } of messages) {
    if (value === null) continue;
    const { version, clients } = JSON.parse(value) as { version: number; clients: { name: string }[] };
    if ((view.get(sellerId)?.version ?? 0) >= version) continue;
    view.set(sellerId, { version, names: clients.map(({ name }) => name) });
  }
  return new Map([...view].filter(([, { names }]) => names.length > 0));
}
