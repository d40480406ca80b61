import type { TopicMessage } from './topic.ts';

/**
 * What Kafka keeps of a topic that is fully compacted: the last message of each key in each partition.
 * @param expired whether `delete.retention.ms` has passed since, so that tombstones are gone too
 */
export function compacted(messages: readonly TopicMessage[], expired: boolean): TopicMessage[] {
  const last = new Map<string, TopicMessage>();
  for (const one of messages) {
    const at = `${one.partition}/${one.sellerId}`;
    if ((last.get(at)?.offset ?? -1) < one.offset) last.set(at, one);
  }
  return [...last.values()].filter(({ value }) => !expired || value !== null);
}

interface ShownSeller {
  readonly version: number;
  readonly names: readonly string[];
}

/**
 * What a view built from these messages shows: the newest version of each seller, in whatever partition. Sellers
 * without anything to show are left out.
 */
export function viewOf(messages: readonly TopicMessage[]): Map<number, ShownSeller> {
  const view = new Map<number, ShownSeller>();
  for (const { sellerId, value } of messages) {
    if (value === null) continue;
    const { version, clients } = JSON.parse(value) as { version: number; clients: { name: string }[] };
    if ((view.get(sellerId)?.version ?? 0) >= version) continue;
    view.set(sellerId, { version, names: clients.map(({ name }) => name) });
  }
  return new Map([...view].filter(([, { names }]) => names.length > 0));
}
