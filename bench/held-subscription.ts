import { openPrimaryQueue } from "../shared/adapters/open.ts";
import type { Log } from "../shared/runtime/log.ts";
import { topicsOf } from "../shared/runtime/topics.ts";
import type { RealStack } from "../test/support/real-stack.ts";

/**
 * Connects to a subscription and takes nothing. To the broker that is a service which is up and can't keep pace:
 * it keeps what arrives for it in memory, where it would forget it for one that is away. Let go once the consumer
 * that is measured is connected.
 */
export async function holdSubscription(
  stack: RealStack,
  subscription: string,
  log: Log,
): Promise<{ letGo(): Promise<void> }> {
  await stack.subscribe(subscription);
  const queue = await openPrimaryQueue({ pulsarUrl: stack.environment.PULSAR_URL!, pulsarToken: "" }, log);
  const { updates: topic } = topicsOf("public/keyline");
  const consumer = queue.consumer({ topic, subscription, connections: 1, maxPrefetched: 1 });
  while (!consumer.connected()) await new Promise((resume) => setTimeout(resume, 20));
  return {
    async letGo() {
      await consumer.close();
      await queue.close();
    },
  };
}
