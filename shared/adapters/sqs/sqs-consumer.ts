/**
 * Receives by several long polls at once into one buffer, from which `receive` takes.
 *
 * polling -> (pause) -> draining: nothing more is asked for, what was received may be acknowledged
 *         -> (close) -> closed: everything that is left has gone back to the queue
 */
import type { Message } from "@aws-sdk/client-sqs";
import type { Delivery, FallbackConsumer } from "../../ports/update-queue.ts";
import { createDeletes } from "./sqs-deletes.ts";
import { createHeldMessages, type HeldMessage } from "./sqs-held.ts";
import { decodeMessage } from "./sqs-message.ts";
import { startPolls } from "./sqs-polls.ts";
import { maxBatchEntries, type SqsRequests } from "./sqs-requests.ts";

export type SqsConsumerOptions = {
  /** Long polls at once. */
  pollers: number;
  /** Seconds that a poll waits for a first message. */
  longPollSeconds: number;
  /** Messages received before `receive` takes them, those that polls under way may bring included. */
  maxPrefetched: number;
  /** Messages received and not yet deleted; the polls wait at this number. */
  maxUnacknowledged: number;
  /** How long SQS hides a message that was received; held ones are extended at half of it. */
  visibilityTimeoutSeconds: number;
  /** Requests at once that delete, extend or release. */
  maxConcurrentRequests: number;
  /** Told of each failing poll, delete, extension and release; the adapter goes on by itself. */
  onError: (error: Error) => void;
};

export function createSqsConsumer(requests: SqsRequests, options: SqsConsumerOptions): FallbackConsumer {
  const { maxPrefetched, maxUnacknowledged } = options;
  const pollSize = Math.min(maxBatchEntries, maxPrefetched, maxUnacknowledged);
  let buffer: Delivery[] = [];
  let receiving: { maxMessages: number; resolve: (deliveries: Delivery[]) => void } | undefined;
  let freed = Promise.withResolvers<void>();
  const held = createHeldMessages(requests, { ...options, onFreed: announceRoom });
  const deletes = createDeletes(requests, { ...options, onFreed: announceRoom });
  const polls = startPolls(requests, {
    ...options,
    pollSize,
    hasRoom,
    roomChanged: () => freed.promise,
    take,
  });

  /** Whether a whole poll's worth of messages may be asked for. */
  function hasRoom(askedCount: number): boolean {
    const prefetchable = maxPrefetched - buffer.length - askedCount;
    const holdable = maxUnacknowledged - held.count() - deletes.count() - askedCount;
    return prefetchable >= pollSize && holdable >= pollSize;
  }

  function announceRoom(): void {
    freed.resolve();
    freed = Promise.withResolvers<void>();
  }

  function take(messages: Message[]): void {
    for (const message of messages) {
      const handle = held.add(message.ReceiptHandle ?? "", message.Attributes?.MessageGroupId ?? "");
      const decoded = decodeMessage(message);
      buffer.push({ path: "sqs", ...decoded, sizeBytes: Buffer.byteLength(decoded.payload), handle });
    }
    if (receiving !== undefined && buffer.length > 0) answer(shift(receiving.maxMessages));
    else announceRoom();
  }

  function answer(deliveries: Delivery[]): void {
    receiving?.resolve(deliveries);
    receiving = undefined;
  }

  function shift(maxMessages: number): Delivery[] {
    const deliveries = buffer.splice(0, maxMessages);
    announceRoom();
    return deliveries;
  }

  function pause(): void {
    polls.stop();
    announceRoom();
    answer([]);
  }

  return {
    receive(maxMessages) {
      if (polls.stopped()) return Promise.resolve([]);
      if (buffer.length > 0) return Promise.resolve(shift(maxMessages));
      return new Promise((resolve) => {
        receiving = { maxMessages, resolve };
      });
    },
    async acknowledge(deliveries) {
      for (const handle of handlesOf(deliveries)) if (held.drop(handle)) deletes.add(handle.receiptHandle);
    },
    async release(deliveries, afterMs) {
      const groups = new Set(handlesOf(deliveries).map((handle) => handle.group));
      const [later = [], others = []] = partition(buffer, (delivery) => groups.has(handleOf(delivery).group));
      buffer = others;
      await held.release(handlesOf([...deliveries, ...later]), Math.ceil(afterMs / 1000));
      announceRoom();
    },
    connected: () => !polls.stopped() && !polls.failing(),
    pause,
    async close() {
      pause();
      await polls.finish();
      buffer = [];
      await deletes.finish();
      await held.close();
    },
  };
}

function handleOf(delivery: Delivery): HeldMessage {
  return delivery.handle as HeldMessage;
}

function handlesOf(deliveries: readonly Delivery[]): HeldMessage[] {
  return deliveries.map(handleOf);
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  const yes: T[] = [];
  const no: T[] = [];
  for (const item of items) (test(item) ? yes : no).push(item);
  return [yes, no];
}
