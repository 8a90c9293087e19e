import { randomUUID } from "node:crypto";
import type { PrimaryQueue, Topic } from "../../shared/ports/primary-queue.ts";

/** The messages of a topic of JSON from its beginning, in the order of each key, until there are enough. */
export async function readTopic<T>(
  queue: PrimaryQueue,
  topic: Topic,
  areEnough: (read: readonly T[]) => boolean,
): Promise<T[]> {
  const subscription = `topic-check-${randomUUID()}`;
  const consumer = queue.consumer({
    topic,
    subscription,
    connections: 1,
    maxPrefetched: 1_000,
    holdsPacks: true,
  });
  const read: T[] = [];
  while (!areEnough(read)) {
    const deliveries = await consumer.receive(1_000);
    await consumer.acknowledge(deliveries);
    read.push(...deliveries.map(({ payload }) => JSON.parse(payload) as T));
  }
  await consumer.close();
  return read;
}
