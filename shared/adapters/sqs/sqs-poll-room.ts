/**
 * The room that the polls of several queues share. A poll that waits at an empty queue holds the room for what it may
 * bring, so none may take what a queue without a poll needs for its first: an empty queue never holds up the others,
 * as long as there is room for a poll at each. Where there is less, the queues take turns.
 */

export type PollRoom = {
  /** Takes room for one poll; false when there is none for this queue now. */
  take(queue: number): boolean;
  /** Gives back what `take` took: the poll is over. */
  giveBack(queue: number): void;
  /** Resolves when `take` may have another answer. */
  changed(): Promise<void>;
  /** `free` has another answer. */
  announce(): void;
};

export type PollRoomOptions = {
  queueCount: number;
  /** Messages that a poll asks for. */
  pollSize: number;
  /** How many more messages there is room for, whatever polls have asked for. */
  free(): number;
};

export function createPollRoom({ queueCount, pollSize, free }: PollRoomOptions): PollRoom {
  /** Of each queue. */
  const pollsUnderWay = new Array<number>(queueCount).fill(0);
  /** The queue whose last poll began the longest ago comes first. */
  const turns = pollsUnderWay.map((_, queue) => queue);
  let changed = Promise.withResolvers<void>();

  function announce(): void {
    changed.resolve();
    changed = Promise.withResolvers<void>();
  }

  /** Queues without a poll that come before this one. */
  function waitingBefore(queue: number): number {
    const others = pollsUnderWay[queue] === 0 ? turns.slice(0, turns.indexOf(queue)) : turns;
    return others.filter((other) => other !== queue && pollsUnderWay[other] === 0).length;
  }

  return {
    take(queue) {
      const underWay = pollsUnderWay.reduce((sum, count) => sum + count, 0);
      const polls = Math.floor(free() / pollSize) - underWay;
      if (polls <= waitingBefore(queue)) return false;
      pollsUnderWay[queue]! += 1;
      turns.splice(turns.indexOf(queue), 1);
      turns.push(queue);
      return true;
    },
    giveBack(queue) {
      pollsUnderWay[queue]! -= 1;
      announce();
    },
    changed: () => changed.promise,
    announce,
  };
}
