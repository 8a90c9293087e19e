import type { Topic } from "../../ports/primary-queue.ts";
import type { ReadSubscription, SubscriptionStats } from "../../ports/subscription-stats.ts";
import { KeylineError } from "../../runtime/errors.ts";
import { createPulsarAdmin, type PulsarAdminOptions } from "./pulsar-admin.ts";

/** As far as it is used here; the names are those of Pulsar 4.0.8. */
type TopicStats = { subscriptions: Record<string, PartitionSubscription> };

type PartitionSubscription = {
  msgBacklog: number;
  msgOutCounter: number;
  /** Milliseconds since the epoch; -1 without a backlog. */
  earliestMsgPublishTimeInBacklog: number;
  consumers: { consumerName: string; availablePermits: number; unackedMessages: number }[];
};

/**
 * Reads the figures of one subscription of a partitioned topic. It adds up the partitions itself: the broker's
 * own sum adds consumers by their place in the list, whoever they are, and has no oldest message as soon as one
 * partition has none.
 *
 * Rejects with `pulsar_admin_unavailable`, `pulsar_admin_refused`, or `subscription_not_found`.
 */
export function createSubscriptionReader(
  adminUrl: string,
  { topic, subscription, ...options }: PulsarAdminOptions & { topic: Topic; subscription: string },
): ReadSubscription {
  const admin = createPulsarAdmin(adminUrl, options);
  const path = `${topic.replace("://", "/")}/partitioned-stats?perPartition=true&getEarliestTimeInBacklog=true`;
  return async () => {
    const { partitions } = await admin.get<{ partitions: Record<string, TopicStats> }>(path);
    const found = Object.values(partitions).flatMap(({ subscriptions }) => subscriptions[subscription] ?? []);
    if (found.length === 0) {
      const message = `the topic ${topic} has no subscription ${subscription}`;
      throw new KeylineError("subscription_not_found", message, { value: subscription });
    }
    return sumOf(found);
  };
}

function sumOf(partitions: readonly PartitionSubscription[]): SubscriptionStats {
  const oldest = partitions
    .map(({ earliestMsgPublishTimeInBacklog }) => earliestMsgPublishTimeInBacklog)
    .filter((publishMs) => publishMs > 0);
  return {
    backlog: partitions.reduce((sum, { msgBacklog }) => sum + msgBacklog, 0),
    oldestPublishMs: oldest.length === 0 ? undefined : Math.min(...oldest),
    delivered: partitions.reduce((sum, { msgOutCounter }) => sum + msgOutCounter, 0),
    consumers: partitions.flatMap(({ consumers }) =>
      consumers.map(({ consumerName, availablePermits, unackedMessages }) => ({
        name: consumerName,
        permits: availablePermits,
        unacknowledged: unackedMessages,
      })),
    ),
  };
}
