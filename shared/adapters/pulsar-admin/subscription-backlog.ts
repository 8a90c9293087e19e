import type { Topic } from "../../ports/primary-queue.ts";
import type { PulsarAdmin } from "./pulsar-admin.ts";

export type SubscriptionBacklog = {
  /** Messages that are not acknowledged, one number a partition (one in all for a topic without partitions). */
  messages: number[];
  /** Who is connected to it, as the broker names them, such as `/10.0.0.7:51234 since 2026-11-21T20:00:00Z`. */
  consumers: string[];
};

/** The part of Pulsar's topic stats that is read here. */
type TopicStats = {
  subscriptions?: Record<
    string,
    { msgBacklog: number; consumers?: { address?: string; connectedSince?: string }[] }
  >;
};

/**
 * The exact backlog of a subscription, none where it does not exist. Exact where no message holds a batch: the
 * broker counts entries.
 *
 * @throws KeylineError `pulsar_admin_unavailable`, `pulsar_admin_refused`
 */
export async function subscriptionBacklog(
  admin: PulsarAdmin,
  topic: Topic,
  subscription: string,
): Promise<SubscriptionBacklog> {
  const path = topic.replace("://", "/");
  const { partitions } = await admin.get<{ partitions: number }>(`${path}/partitions`);
  const parts =
    partitions === 0 ? [path] : Array.from({ length: partitions }, (_, part) => `${path}-partition-${part}`);
  const backlog: SubscriptionBacklog = { messages: [], consumers: [] };
  for (const part of parts) {
    const stats = await admin.get<TopicStats>(`${part}/stats?getPreciseBacklog=true`);
    const found = stats.subscriptions?.[subscription];
    backlog.messages.push(found?.msgBacklog ?? 0);
    for (const { address, connectedSince } of found?.consumers ?? [])
      backlog.consumers.push(`${address} since ${connectedSince}`);
  }
  return backlog;
}
