/**
 * Receives by several long polls at each queue at once into one buffer, from which `receive` takes.
 *
 * polling -> (pause) -> draining: nothing more is asked for, what was received may be acknowledged
 *         -> (close) -> closed: everything that is left has gone back to the queue
 */
import { randomUUID } from "node:crypto";
import type { Message } from "@aws-sdk/client-sqs";
import type { Delivery, FallbackConsumer } from "../../ports/update-queue.ts";
import { createDeletes } from "./sqs-deletes.ts";
import { createHeldMessages, type HeldMessage } from "./sqs-held.ts";
import { receivedContentsOf } from "./sqs-pack.ts";
import type { PackProgress } from "./sqs-pack-progress.ts";
import { createPollRoom } from "./sqs-poll-room.ts";
import { startPolls } from "./sqs-polls.ts";
import { maxBatchEntries, type SqsRequests } from "./sqs-requests.ts";

export type SqsConsumerOptions = {
  /** Long polls at each queue at once. */
  pollers: number;
  /** Seconds that a poll waits for a first message. */
  longPollSeconds: number;
  /**
   * Messages received before `receive` takes them, those that polls under way may bring included; of all queues
   * together, and at least one of each. A poll does not know what packs it brings: each counts as one until it is here.
   */
  maxPrefetched: number;
  /** Messages of SQS received and not yet deleted, of all queues together; the polls wait at this number. */
  maxUnacknowledged: number;
  /** How long SQS hides a message that was received; held ones are extended at half of it. */
  visibilityTimeoutSeconds: number;
  /** Requests at each queue at once that delete, extend or release. */
  maxConcurrentRequests: number;
  /** Told of each failing poll, delete, extension and release; the adapter goes on by itself. */
  onError: (error: Error) => void;
};

/** What was received from one queue and is not yet deleted. */
type Source = {
  held: ReturnType<typeof createHeldMessages>;
  deletes: ReturnType<typeof createDeletes>;
};

/** A message of SQS, which holds one of ours, or several (`sqs-pack.ts`) of which the last deletes it. */
type Received = {
  source: Source;
  message: HeldMessage;
  messageId: string;
  count: number;
  unacknowledged: number;
};

/** Of each of ours: its place among those that the message of SQS holds. */
type Handle = { received: Received; place: number; acknowledged: boolean };

/**
 * @param queues the requests of each queue
 * @param progress of packs that were given back; what of them was acknowledged does not come again
 */
export function createSqsConsumer(
  queues: readonly SqsRequests[],
  options: SqsConsumerOptions,
  progress: PackProgress,
): FallbackConsumer {
  const maxPrefetched = Math.max(options.maxPrefetched, queues.length);
  const maxUnacknowledged = Math.max(options.maxUnacknowledged, queues.length);
  const share = Math.floor(Math.min(maxPrefetched, maxUnacknowledged) / queues.length);
  const pollSize = Math.min(maxBatchEntries, share);
  let buffer: Delivery[] = [];
  let receiving: { maxMessages: number; resolve: (deliveries: Delivery[]) => void } | undefined;
  const room = createPollRoom({
    queueCount: queues.length,
    pollSize,
    free: () => Math.min(maxPrefetched - buffer.length, maxUnacknowledged - unacknowledgedCount()),
  });
  const sources = queues.map((requests): Source => {
    const told = { ...options, onFreed: room.announce };
    return { held: createHeldMessages(requests, told), deletes: createDeletes(requests, told) };
  });
  const polls = sources.map((source, queue) =>
    startPolls(queues[queue]!, {
      ...options,
      pollSize,
      takeRoom: () => room.take(queue),
      giveBackRoom: () => room.giveBack(queue),
      roomChanged: room.changed,
      take: (messages) => take(source, messages),
    }),
  );

  function unacknowledgedCount(): number {
    return sources.reduce((sum, { held, deletes }) => sum + held.count() + deletes.count(), 0);
  }

  function take(source: Source, messages: Message[]): void {
    for (const message of messages) {
      const contents = receivedContentsOf(message);
      const held = source.held.add(message.ReceiptHandle ?? "", message.Attributes?.MessageGroupId ?? "");
      const messageId = message.MessageId ?? randomUUID();
      const done = progress.acknowledged(messageId);
      const count = contents.length;
      const received = { source, message: held, messageId, count, unacknowledged: count - done.size };
      contents.forEach((content, place) => {
        if (done.has(place)) return;
        const handle: Handle = { received, place, acknowledged: false };
        buffer.push({ path: "sqs", ...content, sizeBytes: Buffer.byteLength(content.payload), handle });
      });
      // The rest was acknowledged after it had been given back, or its delete failed.
      if (received.unacknowledged === 0) deleteReceived(received);
    }
    if (receiving !== undefined && buffer.length > 0) answer(shift(receiving.maxMessages));
  }

  function answer(deliveries: Delivery[]): void {
    receiving?.resolve(deliveries);
    receiving = undefined;
  }

  function shift(maxMessages: number): Delivery[] {
    const deliveries = buffer.splice(0, maxMessages);
    room.announce();
    return deliveries;
  }

  function unreachable(): string[] {
    return queues.filter((_, queue) => polls[queue]!.failing()).map(({ queueUrl }) => queueUrl);
  }

  function stopped(): boolean {
    return polls.some((each) => each.stopped());
  }

  function pause(): void {
    for (const each of polls) each.stop();
    room.announce();
    answer([]);
  }

  function acknowledgeOne(handle: Handle): void {
    if (handle.acknowledged) return;
    handle.acknowledged = true;
    const { received, place } = handle;
    received.unacknowledged -= 1;
    if (received.unacknowledged > 0 || !deleteReceived(received)) progress.add(received.messageId, place);
  }

  /** @returns false when it is with someone else by now. */
  function deleteReceived({ source, message, messageId, count }: Received): boolean {
    if (!source.held.drop(message)) return false;
    source.deletes.add(message.receiptHandle, (deleted) => {
      if (deleted) progress.forget(messageId);
      // It comes again, and is to be deleted then, not applied.
      else for (let place = 0; place < count; place += 1) progress.add(messageId, place);
    });
    return true;
  }

  async function release(handles: readonly Handle[], afterMs: number): Promise<void> {
    const releasing = sources.map((source) => {
      const own = handles.map(({ received }) => received).filter((received) => received.source === source);
      return source.held.release(
        own.map(({ message }) => message),
        Math.ceil(afterMs / 1000),
      );
    });
    await Promise.all(releasing);
    room.announce();
  }

  async function closeSource({ held, deletes }: Source): Promise<void> {
    await deletes.finish();
    await held.close();
  }

  return {
    receive(maxMessages) {
      if (stopped()) return Promise.resolve([]);
      if (buffer.length > 0) return Promise.resolve(shift(maxMessages));
      return new Promise((resolve) => {
        receiving = { maxMessages, resolve };
      });
    },
    async acknowledge(deliveries) {
      for (const handle of deliveries.map(handleOf)) acknowledgeOne(handle);
    },
    async release(deliveries, afterMs) {
      const groups = new Set(deliveries.map(groupOf));
      const [later, others] = partition(buffer, (delivery) => groups.has(groupOf(delivery)));
      buffer = others;
      await release([...deliveries, ...later].map(handleOf), afterMs);
    },
    connected: () => !stopped() && unreachable().length < queues.length,
    unreachable,
    pause,
    async close() {
      pause();
      await Promise.all(polls.map((each) => each.finish()));
      buffer = [];
      await Promise.all(sources.map(closeSource));
    },
  };
}

function handleOf(delivery: Delivery): Handle {
  return delivery.handle as Handle;
}

function groupOf(delivery: Delivery): string {
  return handleOf(delivery).received.message.group;
}

function partition<T>(items: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  const yes: T[] = [];
  const no: T[] = [];
  for (const item of items) (test(item) ? yes : no).push(item);
  return [yes, no];
}
