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

/**
 * @param limits looked at each time, so that they may change; `recheck` after they have
 * @param recheckEveryMs for limits that grow by themselves: at the bound they are looked at so often
 */
export function createInFlight(
  limits: () => InFlightLimits,
  { recheckEveryMs }: { recheckEveryMs?: number | undefined } = {},
): InFlight {
  let messages = 0;
  let bytes = 0;
  let closed = false;
  let waiting = false;
  let changed = Promise.withResolvers<void>();
  /** How many more messages fit; limits that change by time are asked for once. */
  const left = () => {
    const { maxMessages, maxBytes } = limits();
    return bytes >= maxBytes ? 0 : Math.max(0, maxMessages - messages);
  };
  const notify = () => {
    changed.resolve();
    changed = Promise.withResolvers<void>();
  };
  return {
    async room() {
      let room = left();
      while (room === 0 && !closed) {
        waiting = true;
        const timer = recheckEveryMs === undefined ? undefined : setTimeout(notify, recheckEveryMs);
        await changed.promise;
        clearTimeout(timer);
        room = left();
      }
      waiting = false;
      return closed ? 0 : room;
    },
    add(sizeBytes) {
      messages += 1;
      bytes += sizeBytes;
    },
    remove(sizeBytes) {
      messages -= 1;
      bytes -= sizeBytes;
      if (messages === 0 || (waiting && left() > 0)) notify();
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
