import type { Message, Consumer as NativeConsumer } from "pulsar-client";
import type { ConsumerOptions } from "../../ports/primary-queue.ts";
import type { Consumer, LedgerPosition } from "../../ports/update-queue.ts";
import { parseMessageId } from "../message-id.ts";
import { createReceiveQueue } from "../receive-queue.ts";
import { createUnpackingConsumer, type Received } from "../unpacking-consumer.ts";
import type { NativeConnection } from "./native-connection.ts";

/** The consumer that delivered a message is the only one that can acknowledge it. */
type Handle = { message: Message; source: Source };

/** A native consumer; `room` resolves its pump when what it pushed last was taken. */
type Source = { native: NativeConsumer; open: boolean; held: number; room: (() => void) | undefined };

/** How long a batch may wait for its last message; also the most that batching adds to a delivery's age. */
const BATCH_WAIT_MS = 2;
const MAX_BATCH_MESSAGES = 500;

/**
 * One consumer of all partitions, whatever `connections` says: the client has one connection to each broker, and
 * several consumers of one process on the same partition compete for the broker's read-ahead (as
 * `consumed-topics.ts` says), which the broker pays for.
 *
 * What may be prefetched is shared out evenly: a queue for each partition, which holds one message at least, and
 * the batch that was last handed to JavaScript, which is no larger than such a queue.
 */
export function createNativeConsumer(connection: NativeConnection, options: ConsumerOptions): Consumer {
  const { topic, subscription, name, maxPrefetched, exclusive = false } = options;
  let paused = false;
  let source: Source | undefined;
  const queue = createReceiveQueue<Received>((deliveries) => {
    for (const { handle } of deliveries) release((handle as Handle).source, 1);
  });

  const kept = connection.keepOpen<NativeConsumer>(topic, {
    async open(client) {
      const partitions = Math.max(1, (await client.getPartitionsForTopic(topic)).length);
      const perPartition = Math.max(1, Math.floor(maxPrefetched / (partitions + 1)));
      return client.subscribe({
        topic,
        subscription,
        ...(name === undefined ? {} : { consumerName: `${name}-0` }),
        subscriptionType: exclusive ? "Exclusive" : "KeyShared",
        subscriptionInitialPosition: "Earliest",
        receiverQueueSize: perPartition,
        receiverQueueSizeAcrossPartitions: perPartition * partitions,
        batchReceivePolicy: {
          maxNumMessages: Math.min(perPartition, MAX_BATCH_MESSAGES),
          maxNumBytes: -1,
          timeoutMs: BATCH_WAIT_MS,
        },
      });
    },
    onOpen(native) {
      source = { native, open: true, held: 0, room: undefined };
      // A pump ends by the rejection of a receive when its consumer closes.
      pump(source).catch(() => {});
    },
    onLost: abandon,
  });

  /**
   * One message at a time while they are rare: it is there at once, and nothing polls. In batches while there
   * is always a next one.
   */
  async function pump(from: Source): Promise<void> {
    const wanted = () => from.open && !paused;
    while (wanted()) {
      let batch = [await from.native.receive()];
      while (batch.length > 0 && wanted()) {
        from.held += batch.length;
        for (const message of batch) queue.push(new NativeDelivery(message, from));
        if (from.held > 0) await new Promise<void>((resolve) => (from.room = resolve));
        if (wanted()) batch = await from.native.batchReceive();
      }
    }
  }

  function release(from: Source, messages: number): void {
    from.held -= messages;
    if (from.held > 0) return;
    from.room?.();
    from.room = undefined;
  }

  function abandon(): void {
    if (source === undefined) return;
    const lost = source;
    source = undefined;
    lost.open = false;
    // The broker delivers them again: taking them now would only make duplicates.
    queue.retain((delivery) => (delivery.handle as Handle).source !== lost);
    release(lost, lost.held);
  }

  function pause(): void {
    paused = true;
    queue.end();
    if (source !== undefined) release(source, source.held);
  }

  return createUnpackingConsumer(
    {
      receive: queue.receive,
      acknowledge(deliveries) {
        for (const { handle } of deliveries) {
          const { source: from, message } = handle as Handle;
          if (from.open) from.native.acknowledge(message).catch(ignore);
        }
        return Promise.resolve();
      },
      connected: () => source?.native.isConnected() === true,
      pause,
      async close() {
        pause();
        await kept.close();
        abandon();
      },
    },
    options,
  );
}

/** An acknowledgement that fails means that the message comes again. */
function ignore(): void {}

/**
 * What is asked for of few messages is read from the native message then: each look into it makes objects for it.
 * (A class for the reason that `WebSocketDelivery` is one.)
 */
class NativeDelivery implements Received {
  readonly path = "pulsar";
  readonly key: string;
  readonly sizeBytes: number;
  readonly handle: Handle;
  readonly bytes: Buffer;

  constructor(message: Message, source: Source) {
    this.key = message.getPartitionKey();
    this.bytes = message.getData();
    this.sizeBytes = this.bytes.length;
    this.handle = { message, source };
  }

  get lost(): boolean {
    return !this.handle.source.open;
  }

  get payload(): string {
    return this.bytes.toString();
  }

  get publishTimeMs(): number {
    return this.handle.message.getPublishTimestamp();
  }

  get position(): LedgerPosition {
    return parseMessageId(this.handle.message.getMessageId().serialize());
  }
}
