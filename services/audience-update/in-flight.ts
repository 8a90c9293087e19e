export type InFlightLimits = { maxMessages: number; maxBytes: number };

/**
 * The bound on what a consumer holds between receiving and acknowledging. At the bound it stops asking for
 * more; the broker keeps the rest.
 */
export type InFlight = {
  /** Resolves with how many more messages fit (at least 1), or 0 once closed. */
  room(): Promise<number>;
  add(sizeBytes: number): void;
  remove(sizeBytes: number): void;
  messages(): number;
  bytes(): number;
  /** Resolves when nothing is in flight any more. */
  drained(): Promise<void>;
  /** Looks again whether there is room, after the limits have changed. */
  recheck(): void;
  /** Lets a waiting `room` go. */
  close(): void;
};

/** @param limits looked at each time, so that they may change; `recheck` after they have */
export function createInFlight(limits: () => InFlightLimits): InFlight {
  let messages = 0;
  let bytes = 0;
  let closed = false;
  let waiting = false;
  let changed = Promise.withResolvers<void>();
  const full = () => {
    const { maxMessages, maxBytes } = limits();
    return messages >= maxMessages || bytes >= maxBytes;
  };
  const notify = () => {
    changed.resolve();
    changed = Promise.withResolvers<void>();
  };
  return {
    async room() {
      while (full() && !closed) {
        waiting = true;
        await changed.promise;
      }
      waiting = false;
      return closed ? 0 : limits().maxMessages - messages;
    },
    add(sizeBytes) {
      messages += 1;
      bytes += sizeBytes;
    },
    remove(sizeBytes) {
      messages -= 1;
      bytes -= sizeBytes;
      if (messages === 0 || (waiting && !full())) notify();
    },
    messages: () => messages,
    bytes: () => bytes,
    async drained() {
      while (messages > 0) await changed.promise;
    },
    recheck: notify,
    close() {
      closed = true;
      notify();
    },
  };
}
