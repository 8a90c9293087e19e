import { userKey } from "../shared/domain/envelope.ts";
import type { Producer } from "../shared/ports/update-queue.ts";
import { createBenchUpdates, type Users } from "./updates.ts";

const UNDER_WAY = 2_000;

/** Publishes updates as fast as the broker takes them. @returns updates a second and their mean size. */
export async function prefill(
  producer: Producer,
  { updates, userOf }: { updates: number; userOf: Users },
): Promise<{ perSecond: number; meanBytes: number }> {
  const next = createBenchUpdates(userOf);
  const startedAtMs = performance.now();
  let number = 0;
  let bytes = 0;
  const lane = async () => {
    while (number < updates) {
      const update = next(number);
      number += 1;
      const payload = JSON.stringify(update);
      bytes += Buffer.byteLength(payload);
      const key = userKey(update.tenant, update.userId);
      await producer.send({ key, payload, deduplicationId: `${key} ${update.seq}` });
    }
  };
  await Promise.all(Array.from({ length: UNDER_WAY }, lane));
  return {
    perSecond: (updates / (performance.now() - startedAtMs)) * 1_000,
    meanBytes: bytes / updates,
  };
}
