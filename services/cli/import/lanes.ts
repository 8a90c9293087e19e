/**
 * Requests side by side. A user's rows go through one lane, one request after the other, so that they come to the
 * gateway in the order of the file.
 */
import type { SendBatch, Sending } from "./send-batch.ts";

export type Lanes = {
  put(row: Sending): void;
  /** What waits is sent, as soon as its lane is free. */
  start(): void;
  /** Resolves once nothing is under way, which after a failure or a stop leaves rows that were not sent. */
  close(): Promise<void>;
};

const MAX_ROWS = 1_000;
/** The gateway takes requests of 1 MiB; rows are counted as the file has them, and may be longer as JSON. */
const MAX_BYTES = 400_000;
/**
 * Of a user in one request. Where its answer is lost all of it is sent again, and a profile remembers so many ids by
 * default (`MAX_REMEMBERED_IDS`).
 */
const MAX_ROWS_OF_USER = 32;

export function createLanes(options: {
  count: number;
  send: SendBatch;
  signal: AbortSignal;
  onFailure(error: unknown): void;
}): Lanes {
  const { count, send, signal, onFailure } = options;
  const lanes = Array.from({ length: count }, () => ({
    waiting: [] as Sending[],
    running: undefined as Promise<void> | undefined,
  }));
  let failed = false;

  async function run(lane: (typeof lanes)[number]): Promise<void> {
    try {
      while (lane.waiting.length > 0 && !signal.aborted && !failed) {
        const { batch, rest } = nextBatch(lane.waiting);
        lane.waiting = rest;
        await send(batch);
      }
    } catch (error) {
      failed = true;
      onFailure(error);
    }
    lane.running = undefined;
  }

  return {
    put(row) {
      lanes[laneOf(String(row.update.userId), count)]!.waiting.push(row);
    },
    start() {
      for (const lane of lanes) lane.running ??= lane.waiting.length > 0 ? run(lane) : undefined;
    },
    async close() {
      await Promise.all(lanes.map(({ running }) => running));
    },
  };
}

/** What goes in one request, in order; a user of whom there are too many rows waits with the rest of them. */
export function nextBatch(waiting: readonly Sending[]): { batch: Sending[]; rest: Sending[] } {
  const batch: Sending[] = [];
  const rest: Sending[] = [];
  const rowsOf = new Map<string, number>();
  let bytes = 0;
  let full = false;
  for (const row of waiting) {
    const user = String(row.update.userId);
    const rows = rowsOf.get(user) ?? 0;
    full ||= batch.length >= MAX_ROWS || (batch.length > 0 && bytes + row.bytes > MAX_BYTES);
    if (full || rows >= MAX_ROWS_OF_USER) {
      rest.push(row);
      continue;
    }
    batch.push(row);
    bytes += row.bytes;
    rowsOf.set(user, rows + 1);
  }
  return { batch, rest };
}

function laneOf(userId: string, count: number): number {
  let hash = 0;
  for (let index = 0; index < userId.length; index += 1)
    hash = (Math.imul(hash, 31) + userId.charCodeAt(index)) | 0;
  return (hash >>> 0) % count;
}
