import type { Admin } from '#platform/kafka/client.ts';
import type { Topic } from './compare-view.ts';

/** @param admin connected; the caller disconnects it */
export const kafkaTopic = (admin: Admin, topic: string): Topic => ({
  async ends() {
    const offsets = await admin.fetchTopicOffsets(topic);
    return new Map(
      offsets.map(({ partition, low, high }) => [partition, { first: Number(low), next: Number(high) }]),
    );
  },
});
