import type { RealStack } from "../test/support/real-stack.ts";
import { openUpdatesTopic, untilConnected } from "./updates-topic.ts";

/**
 * Connects to a subscription and takes nothing. To the broker that is a service which is up and can't keep pace:
 * it keeps what arrives for it in memory, where it would forget it for one that is away.
 * @returns lets go; to be called once the consumer that is measured is connected.
 */
export async function holdSubscription(stack: RealStack, subscription: string): Promise<() => Promise<void>> {
  await stack.subscribe(subscription);
  const { queue, topic } = await openUpdatesTopic(stack.environment);
  const consumer = queue.consumer({ topic, subscription, connections: 1, maxPrefetched: 1 });
  await untilConnected(consumer);
  return async () => {
    await consumer.close();
    await queue.close();
  };
}
