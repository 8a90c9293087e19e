import type { Message, Consumer as NativeConsumer } from "pulsar-client";
import type { ConsumerOptions } from "../../ports/primary-queue.ts";
import type { Consumer, Delivery } from "../../ports/update-queue.ts";
import { parseMessageId } from "../message-id.ts";
import { createReceiveQueue } from "../receive-queue.ts";
import type { NativeConnection } from "./native-connection.ts";

/** The consumer that delivered a message is the only one that can acknowledge it. */
type Handle = { message: Message; source: Source };

/** One native consumer; `room` resolves its pump when what it pushed last was taken. */
type Source = { native: NativeConsumer; open: boolean; held: number; room: (() => void) | undefined };

/** How long a batch may wait for its last message; also the most that batching adds to a delivery's age. */
const BATCH_WAIT_MS = 2;
const MAX_BATCH_MESSAGES = 500;

/**
 * Half of what may be prefetched waits in the native queues, the other half is the batch that was last handed
 * to JavaScript. Each partition's queue holds one message at least.
 */
export function createNativeConsumer(connection: NativeConnection, options: ConsumerOptions): Consumer {
  const { topic, subscription, name, maxPrefetched, exclusive = false } = options;
  const connections = exclusive ? 1 : Math.max(1, Math.min(options.connections, maxPrefetched));
  const half = Math.max(1, Math.floor(maxPrefetched / connections / 2));
  let paused = false;
  const sources = new Set<Source>();
  const queue = createReceiveQueue<Delivery>((deliveries) => {
    for (const { handle } of deliveries) release((handle as Handle).source, 1);
  });

  const kept = Array.from({ length: connections }, (_, index) => {
    let source: Source | undefined;
    return connection.keepOpen<NativeConsumer>(topic, {
      async open(client) {
        const partitions = Math.max(1, (await client.getPartitionsForTopic(topic)).length);
        const perPartition = Math.max(1, Math.floor(half / partitions));
        return client.subscribe({
          topic,
          subscription,
          ...(name === undefined ? {} : { consumerName: `${name}-${index}` }),
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
        sources.add(source);
        // A pump ends by the rejection of a receive when its consumer closes.
        pump(source).catch(() => {});
      },
      onLost() {
        if (source !== undefined) abandon(source);
      },
    });
  });

  /**
   * One message at a time while they are rare: it is there at once, and nothing polls. In batches while there
   * is always a next one.
   */
  async function pump(source: Source): Promise<void> {
    const wanted = () => source.open && !paused;
    while (wanted()) {
      let batch = [await source.native.receive()];
      while (batch.length > 0 && wanted()) {
        source.held += batch.length;
        for (const message of batch) queue.push(deliveryOf(message, source));
        if (source.held > 0) await new Promise<void>((resolve) => (source.room = resolve));
        if (wanted()) batch = await source.native.batchReceive();
      }
    }
  }

  function release(source: Source, messages: number): void {
    source.held -= messages;
    if (source.held > 0) return;
    source.room?.();
    source.room = undefined;
  }

  function abandon(source: Source): void {
    source.open = false;
    sources.delete(source);
    // The broker delivers them again: taking them now would only make duplicates.
    queue.retain((delivery) => (delivery.handle as Handle).source !== source);
    release(source, source.held);
  }

  function pause(): void {
    paused = true;
    queue.end();
    for (const source of sources) release(source, source.held);
  }

  return {
    receive: queue.receive,
    acknowledge(deliveries) {
      for (const { handle } of deliveries) {
        const { source, message } = handle as Handle;
        if (source.open) source.native.acknowledge(message).catch(ignore);
      }
      return Promise.resolve();
    },
    connected: () => [...sources].some((source) => source.native.isConnected()),
    pause,
    async close() {
      pause();
      await Promise.all(kept.map((one) => one.close()));
      for (const source of [...sources]) abandon(source);
    },
  };
}

/** An acknowledgement that fails means that the message comes again. */
function ignore(): void {}

function deliveryOf(message: Message, source: Source): Delivery {
  const payload = message.getData();
  return {
    path: "pulsar",
    key: message.getPartitionKey(),
    payload: payload.toString(),
    sizeBytes: payload.length,
    publishTimeMs: message.getPublishTimestamp(),
    position: parseMessageId(message.getMessageId().serialize()),
    handle: { message, source } satisfies Handle,
  };
}
