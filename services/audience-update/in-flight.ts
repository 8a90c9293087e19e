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
  /** Lets a waiting `room` go. */
  close(): void;
};

export function createInFlight(limits: { maxMessages: number; maxBytes: number }): InFlight {
  let messages = 0;
  let bytes = 0;
  let closed = false;
  let changed = Promise.withResolvers<void>();
  const full = () => messages >= limits.maxMessages || bytes >= limits.maxBytes;
  const notify = () => {
    changed.resolve();
    changed = Promise.withResolvers<void>();
  };
  return {
    async room() {
      while (full() && !closed) await changed.promise;
      return closed ? 0 : limits.maxMessages - messages;
    },
    add(sizeBytes) {
      messages += 1;
      bytes += sizeBytes;
    },
    remove(sizeBytes) {
      const wasFull = full();
      messages -= 1;
      bytes -= sizeBytes;
      if ((wasFull && !full()) || messages === 0) notify();
    },
    messages: () => messages,
    bytes: () => bytes,
    async drained() {
      while (messages > 0) await changed.promise;
    },
    close() {
      closed = true;
      notify();
    },
  };
}
