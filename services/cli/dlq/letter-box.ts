import { setTimeout as sleep } from "node:timers/promises";
import type { PrimaryQueue, Topic } from "../../../shared/ports/primary-queue.ts";
import type { Consumer, LedgerPosition } from "../../../shared/ports/update-queue.ts";
import { KeylineError } from "../../../shared/runtime/errors.ts";
import { type StoredLetter, storedLetter } from "./stored-letter.ts";

export type LetterBoxOptions = {
  queue: PrimaryQueue;
  topic: Topic;
  subscription: string;
  /** Outstanding letters by partition, and who is connected to the subscription. Rejects where there is no topic. */
  backlog(): Promise<{ messages: number[]; consumers: string[] }>;
  /** Why there is no connection, as far as it is known. */
  problem(): string | undefined;
  /** How long to wait for the connection, and for each letter. */
  patienceMs: number;
};

/** The dead letters that were outstanding when it was opened, for one command at a time. */
export type LetterBox = {
  /** How many there are. */
  count: number;
  /**
   * Each of them once, oldest first within a partition; to be gone through once. Throws KeylineError
   * `dead_letters_stalled` or `dead_letters_interrupted`, both retryable.
   */
  letters(): AsyncGenerator<StoredLetter>;
  /** Takes a letter out for good. Throws KeylineError `dead_letters_interrupted`. */
  remove(stored: StoredLetter): Promise<void>;
  close(): Promise<void>;
};

const RETRY_MS = 50;
/** How long the command before may take to leave. */
const LEAVING_MS = 1_500;
/** A letter can be close to a megabyte. */
const MAX_PREFETCHED = 32;

/**
 * Takes the subscription for this process alone, so that two operators can't replay one letter twice, and looks
 * how much is outstanding. What is not removed stays; what is parked from now on is not touched.
 *
 * @throws KeylineError `dead_letters_busy` while another command runs, `queue_not_connected` (both retryable), or
 *   that of `backlog`
 */
export async function openLetterBox(options: LetterBoxOptions): Promise<LetterBox> {
  const { queue, topic, subscription } = options;
  const consumer = queue.consumer({
    topic,
    subscription,
    exclusive: true,
    connections: 1,
    maxPrefetched: MAX_PREFETCHED,
  });
  try {
    await untilAlone(consumer, options);
    const { messages } = await options.backlog();
    return letterBox(consumer, messages, options.patienceMs);
  } catch (thrown) {
    await consumer.close();
    throw thrown;
  }
}

/** Waits for the connection, and looks why there is none: waiting long mends neither of two reasons. */
async function untilAlone(consumer: Consumer, options: LetterBoxOptions): Promise<void> {
  const { patienceMs } = options;
  const beganMs = performance.now();
  const isConnectedWithin = async (waitMs: number) => {
    while (!consumer.connected() && performance.now() - beganMs < waitMs) await sleep(RETRY_MS);
    return consumer.connected();
  };
  if (await isConnectedWithin(Math.min(LEAVING_MS, patienceMs))) return;
  const { consumers } = await options.backlog();
  // The broker may have known of this one's before it did.
  if (consumers.length > 0 && !consumer.connected()) {
    const text = `another command works on the dead letters (${consumers.join(", ")}): try again when it is done`;
    throw new KeylineError("dead_letters_busy", text, { value: consumers, retryable: true });
  }
  if (await isConnectedWithin(patienceMs)) return;
  const why = options.problem() ?? "no answer";
  const text = `no connection to ${options.topic} within ${patienceMs} ms: ${why}`;
  throw new KeylineError("queue_not_connected", text, { retryable: true });
}

function letterBox(consumer: Consumer, messages: readonly number[], patienceMs: number): LetterBox {
  const left = [...messages];
  const count = messages.reduce((sum, partition) => sum + partition, 0);
  const last = new Map<number, LedgerPosition>();

  /** Undefined for a letter that was parked after the box was opened. */
  async function next(): Promise<StoredLetter | undefined> {
    // One by one: when the connection is lost, what was not taken yet is forgotten and comes again.
    const [delivery] = await receiveWithin(consumer, patienceMs);
    if (delivery === undefined) throw stalled(patienceMs);
    const position = delivery.position!;
    // A topic without partitions, and one with a single one, count as partition 0.
    const partition = left.length === 1 ? 0 : position.partition;
    const before = last.get(partition);
    if (!consumer.connected() || (before !== undefined && !isAfter(position, before))) throw interrupted();
    last.set(partition, position);
    left[partition]! -= 1;
    return left[partition]! >= 0 ? storedLetter(delivery, position) : undefined;
  }

  return {
    count,
    async *letters() {
      while (left.some((outstanding) => outstanding > 0)) {
        const stored = await next();
        if (stored !== undefined) yield stored;
      }
    },
    async remove({ delivery }) {
      await consumer.acknowledge([delivery]);
      // An acknowledgement over a lost connection is lost too.
      if (!consumer.connected()) throw interrupted();
    },
    close: consumer.close,
  };
}

async function receiveWithin(consumer: Consumer, timeoutMs: number) {
  const timer = setTimeout(consumer.pause, timeoutMs);
  try {
    return await consumer.receive(1);
  } finally {
    clearTimeout(timer);
  }
}

function isAfter(position: LedgerPosition, before: LedgerPosition): boolean {
  if (position.ledgerId !== before.ledgerId) return position.ledgerId > before.ledgerId;
  if (position.entryId !== before.entryId) return position.entryId > before.entryId;
  return position.batchIndex > before.batchIndex;
}

function stalled(patienceMs: number): KeylineError {
  const text = `Pulsar has more dead letters and sent none for ${patienceMs} ms: try again`;
  return new KeylineError("dead_letters_stalled", text, { retryable: true });
}

function interrupted(): KeylineError {
  const text = "the connection to the dead letters was lost: what was done last may not be noted; try again";
  return new KeylineError("dead_letters_interrupted", text, { retryable: true });
}
