import type { Producer } from "../ports/update-queue.ts";
import { createSendWindow } from "./send-window.ts";

/**
 * The producer, with what it is given at once, or while others are under way, sent in packs keyed by group.
 *
 * @param options.maxPending packs without an answer at once; the others wait
 * @param options.sendTimeoutMs the producer's; what waits longer for its turn is rejected with `publish_late`
 */
export function createPackingProducer(
  producer: Producer,
  { keyGroups, maxPending, sendTimeoutMs }: { keyGroups: number; maxPending: number; sendTimeoutMs: number },
): Producer {
  const { send } = producer;
  const window = createSendWindow({ path: "pulsar", maxPending, keyGroups, send });
  return {
    ...producer,
    send(message) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      const turnByMs = performance.now() + sendTimeoutMs;
      // The producer's own deadline comes first.
      window.send(message, turnByMs, turnByMs + 2 * sendTimeoutMs, (error) =>
        error ? reject(error) : resolve(),
      );
      return promise;
    },
  };
}
