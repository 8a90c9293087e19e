import type { OutgoingMessage } from "../ports/update-queue.ts";
import { createSendWindow } from "./send-window.ts";

/**
 * Sends what it is given at once, or while others are under way, in packs keyed by group.
 *
 * @param send of one message of the broker, which holds so many of those that were given
 * @param options.maxPending packs without an answer at once; the others wait
 * @param options.turnWithinMs what waits longer for its turn is rejected with `publish_late`; `send` has a deadline of
 *   its own that is no longer than this
 */
export function createSendInPacks(
  send: (message: OutgoingMessage, updates: number) => Promise<void>,
  { keyGroups, maxPending, turnWithinMs }: { keyGroups: number; maxPending: number; turnWithinMs: number },
): (message: OutgoingMessage) => Promise<void> {
  const window = createSendWindow({ path: "pulsar", maxPending, keyGroups, send });
  return (message) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const turnByMs = performance.now() + turnWithinMs;
    window.send(message, turnByMs, turnByMs + turnWithinMs, (error) => (error ? reject(error) : resolve()));
    return promise;
  };
}
