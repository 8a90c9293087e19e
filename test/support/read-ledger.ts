import type { Update } from "../../shared/domain/envelope.ts";
import type { PrimaryQueue, Topic } from "../../shared/ports/primary-queue.ts";
import { consumeFromBeginning } from "./read-topic.ts";

/** What an update is in the ledger, whatever path it took there. */
export function identityOf({ userId, src, seq }: Pick<Update, "userId" | "src" | "seq">): string {
  return `${userId} ${src} ${seq}`;
}

/**
 * Reads a topic of envelopes from its beginning by a subscription of its own, until all of `expected` were there or
 * `patienceMs` have passed.
 * @returns which were missing, which nobody expected, and how many messages were read.
 */
export async function compareLedger(
  queue: PrimaryQueue,
  topic: Topic,
  expected: ReadonlySet<string>,
  patienceMs = 60_000,
): Promise<{ missing: string[]; unexpected: string[]; messages: number }> {
  const consumer = consumeFromBeginning(queue, topic);
  const found = new Set<string>();
  let messages = 0;
  const timer = setTimeout(consumer.pause, patienceMs);
  while (!expected.isSubsetOf(found)) {
    const deliveries = await consumer.receive(1_000);
    if (deliveries.length === 0) break;
    for (const { payload } of deliveries) found.add(identityOf(JSON.parse(payload) as Update));
    messages += deliveries.length;
    await consumer.acknowledge(deliveries);
  }
  clearTimeout(timer);
  await consumer.close();
  return {
    missing: [...expected.difference(found)],
    unexpected: [...found.difference(expected)],
    messages,
  };
}
