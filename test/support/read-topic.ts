import { randomUUID } from "node:crypto";
import type { PrimaryQueue, Topic } from "../../shared/ports/primary-queue.ts";
import type { Consumer } from "../../shared/ports/update-queue.ts";

/** From the beginning of a topic, by a subscription of its own. */
export function consumeFromBeginning(queue: PrimaryQueue, topic: Topic): Consumer {
  return queue.consumer({
    topic,
    subscription: `check-${randomUUID()}`,
    connections: 1,
    maxPrefetched: 1_000,
    holdsPacks: true,
  });
}

/** The messages of a topic of JSON from its beginning, in the order of each key, until there are enough. */
export async function readTopic<T>(
  queue: PrimaryQueue,
  topic: Topic,
  areEnough: (read: readonly T[]) => boolean,
): Promise<T[]> {
  const consumer = consumeFromBeginning(queue, topic);
  const read: T[] = [];
  while (!areEnough(read)) {
    const deliveries = await consumer.receive(1_000);
    await consumer.acknowledge(deliveries);
    read.push(...deliveries.map(({ payload }) => JSON.parse(payload) as T));
  }
  await consumer.close();
  return read;
}
