/**
 * Messages that wait to be sent, one lane a group. A group whose messages are in a request under way waits for
 * its answer, so that two requests never race for the order of one key. Lanes take turns.
 */

export type Waiting = {
  group: string;
  sizeBytes: number;
  /** Answered already (it waited too long): dropped when its turn comes. */
  settled: boolean;
};

export function createLanes<T extends Waiting>(limits: { maxEntries: number; maxBytes: number }) {
  const lanes = new Map<string, T[]>();
  // Invariant: exactly the groups that have a lane and no request under way.
  const ready = new Set<string>();
  let waitingCount = 0;

  function freeLane(group: string): void {
    ready.delete(group);
    lanes.delete(group);
  }

  /** Moves the lane's next messages into the batch, as many as fit. @returns how many bytes they are. */
  function takeFrom(lane: T[], batch: T[], roomBytes: number): number {
    let taken = 0;
    let bytes = 0;
    for (const message of lane) {
      if (!message.settled) {
        if (batch.length === limits.maxEntries || bytes + message.sizeBytes > roomBytes) break;
        batch.push(message);
        bytes += message.sizeBytes;
      }
      taken++;
    }
    lane.splice(0, taken);
    waitingCount -= taken;
    return bytes;
  }

  return {
    waitingCount: () => waitingCount,
    hasReady: () => ready.size > 0,
    push(message: T): void {
      waitingCount++;
      const lane = lanes.get(message.group);
      if (lane !== undefined) {
        lane.push(message);
        return;
      }
      lanes.set(message.group, [message]);
      ready.add(message.group);
    },
    /** The next batch; its groups wait until `finish`. Empty when all that was ready had been settled. */
    takeBatch(): T[] {
      const batch: T[] = [];
      let bytes = 0;
      for (const group of ready) {
        const lane = lanes.get(group) as T[];
        const before = batch.length;
        bytes += takeFrom(lane, batch, limits.maxBytes - bytes);
        const full = lane.length > 0;
        if (batch.length > before) ready.delete(group);
        else if (!full) freeLane(group);
        // What does not fit stays first in line, so that a big message is not overtaken for ever.
        if (full || batch.length === limits.maxEntries) break;
      }
      return batch;
    },
    finish(batch: readonly T[]): void {
      for (const group of new Set(batch.map((message) => message.group))) {
        if (lanes.get(group)?.length) ready.add(group);
        else freeLane(group);
      }
    },
  };
}
