import type { OutgoingMessage } from "../ports/update-queue.ts";

export type RecentMessage = { message: OutgoingMessage; addedAtMs: number };

/** The last messages, first in first out; beyond its bounds it forgets the oldest. */
export type RecentMessages = {
  push(message: OutgoingMessage, nowMs: number): void;
  shift(): RecentMessage | undefined;
  forgetBefore(timeMs: number): void;
  size(): number;
  clear(): void;
};

/**
 * A ring: each step takes constant time, and nothing is allocated for a message but its place.
 *
 * @param maxBytes of all payloads, where a character counts as one byte.
 */
export function createRecentMessages({
  maxMessages,
  maxBytes,
}: {
  maxMessages: number;
  maxBytes: number;
}): RecentMessages {
  const messages = new Array<OutgoingMessage | undefined>(maxMessages);
  const addedAtMs = new Float64Array(maxMessages);
  let head = 0;
  let size = 0;
  let bytes = 0;

  function shift(): RecentMessage | undefined {
    const message = messages[head];
    if (size === 0 || message === undefined) return undefined;
    const taken = { message, addedAtMs: addedAtMs[head]! };
    messages[head] = undefined;
    head = (head + 1) % maxMessages;
    size -= 1;
    bytes -= message.payload.length;
    return taken;
  }

  return {
    push(message, nowMs) {
      if (size === maxMessages) shift();
      const place = (head + size) % maxMessages;
      messages[place] = message;
      addedAtMs[place] = nowMs;
      size += 1;
      bytes += message.payload.length;
      while (bytes > maxBytes) shift();
    },
    shift,
    forgetBefore(timeMs) {
      while (size > 0 && addedAtMs[head]! < timeMs) shift();
    },
    size: () => size,
    clear() {
      while (size > 0) shift();
    },
  };
}
