/** What has arrived and nobody has taken yet, with at most one waiting `receive`. */
export type ReceiveQueue<T> = {
  push(item: T): void;
  /** As `Consumer.receive`. */
  receive(maxItems: number): Promise<T[]>;
  /** Forgets the items for which `keep` is false, without taking them. */
  retain(keep: (item: T) => boolean): void;
  dropOldest(): void;
  /** From now on `receive` resolves with none, and so does the one that waits. What is there is forgotten. */
  end(): void;
};

/**
 * @param onTake is called with the items that a `receive` resolves with, before it resolves.
 */
export function createReceiveQueue<T>(onTake: (items: readonly T[]) => void): ReceiveQueue<T> {
  let items: T[] = [];
  let ended = false;
  let waiting: { maxItems: number; resolve(items: T[]): void } | undefined;
  let handOverScheduled = false;

  function take(maxItems: number): T[] {
    let taken: T[];
    if (items.length <= maxItems) {
      taken = items;
      items = [];
    } else {
      taken = items.splice(0, maxItems);
    }
    onTake(taken);
    return taken;
  }

  function handOver(): void {
    handOverScheduled = false;
    if (waiting === undefined || items.length === 0) return;
    const { maxItems, resolve } = waiting;
    waiting = undefined;
    resolve(take(maxItems));
  }

  return {
    push(item) {
      if (ended) return;
      items.push(item);
      // A microtask runs after the whole chunk that the socket has read, so that one receive takes all of it.
      if (waiting !== undefined && !handOverScheduled) {
        handOverScheduled = true;
        queueMicrotask(handOver);
      }
    },
    receive(maxItems) {
      if (waiting !== undefined) throw new Error("receive was called while another receive waits");
      if (ended) return Promise.resolve([]);
      if (items.length > 0) return Promise.resolve(take(maxItems));
      return new Promise((resolve) => {
        waiting = { maxItems, resolve };
      });
    },
    retain(keep) {
      items = items.filter(keep);
    },
    dropOldest() {
      items.shift();
    },
    end() {
      ended = true;
      items = [];
      waiting?.resolve([]);
      waiting = undefined;
    },
  };
}
