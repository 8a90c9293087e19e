import type { PrimaryQueue } from "../../shared/ports/primary-queue.ts";
import type { Consumer } from "../../shared/ports/update-queue.ts";
import type { Lifecycle } from "../../shared/runtime/lifecycle.ts";
import { topicsOf } from "../../shared/runtime/topics.ts";
import type { ConsumerSettings } from "./update-consumer.ts";

/** Beside what is in flight; enough to have the next round at hand. */
export const MAX_PREFETCHED = 2_000;
const MAX_BULK_PREFETCHED = 500;

/**
 * Both under the same names, by which the broker shares out the keys: a user's bulk updates come to whom the live ones
 * come to, as long as nobody joins or leaves.
 */
export function openConsumers(
  receiving: Lifecycle,
  {
    primary,
    settings,
    voter,
  }: {
    primary: PrimaryQueue;
    settings: Pick<
      ConsumerSettings,
      "pulsarNamespace" | "pulsarSubscription" | "pulsarConnections" | "maxInFlightMessages"
    >;
    voter: string;
  },
): { primaryConsumer: Consumer; bulkConsumer: Consumer } {
  const topics = topicsOf(settings.pulsarNamespace);
  const open = (topic: string, maxPrefetched: number) =>
    primary.consumer({
      topic,
      subscription: settings.pulsarSubscription,
      connections: settings.pulsarConnections,
      name: voter,
      holdsPacks: true,
      maxPrefetched: Math.min(settings.maxInFlightMessages, maxPrefetched),
    });
  return {
    primaryConsumer: receiving.own("primary consumer", open(topics.updates, MAX_PREFETCHED)),
    bulkConsumer: receiving.own("bulk consumer", open(topics.bulk, MAX_BULK_PREFETCHED)),
  };
}
