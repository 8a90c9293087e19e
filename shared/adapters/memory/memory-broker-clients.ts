import type { ConsumerOptions, ProducerOptions, Reader } from "../../ports/primary-queue.ts";
import type { Consumer, OutgoingMessage, Producer } from "../../ports/update-queue.ts";
import { createPendingSends, type Scheduler } from "../pending-sends.ts";
import { blocked, notConnected, refused } from "../queue-errors.ts";
import { createReceiveQueue } from "../receive-queue.ts";
import { createUnpackingConsumer, type Received } from "../unpacking-consumer.ts";
import type { Connection } from "./memory-broker-subscription.ts";
import type { Entry, MemoryTopic } from "./memory-broker-topic.ts";

/** What the clients of the memory broker see of it. */
export type BrokerSide = {
  scheduler: Scheduler;
  maxMessageBytes: number;
  broken(): boolean;
  /** Runs now, or when the broker is healed: what it was told meanwhile waits in its sockets. */
  tell(command: () => void): void;
  /** As `tell`, for a send; what is sent to a broken broker may also be lost. */
  tellSend(command: () => void): void;
};

type Handle = { connection: Connection; entry: Entry };

/** Messages that wait for a reader's `receive`; beyond them the oldest are forgotten. */
const MAX_HELD_BY_READER = 1_000;

export function createMemoryProducer(
  broker: BrokerSide,
  topic: MemoryTopic,
  options: ProducerOptions,
): Producer {
  const pending = createPendingSends(options, broker.scheduler);
  let closing = false;

  function store(message: OutgoingMessage, publishTimeMs: number): Promise<void> {
    if (topic.append(message, publishTimeMs)) return Promise.resolve();
    return Promise.reject(blocked(options.topic, "the backlog is full"));
  }

  return {
    send(message) {
      if (closing) return Promise.reject(notConnected(options.topic));
      if (Buffer.byteLength(message.payload) > broker.maxMessageBytes) {
        return Promise.reject(refused(options.topic, `larger than ${broker.maxMessageBytes} bytes`, false));
      }
      if (pending.full()) {
        return Promise.reject(refused(options.topic, `${options.maxPending} sends are under way`, true));
      }
      const publishTimeMs = broker.scheduler.now();
      if (!broker.broken()) return store(message, publishTimeMs);
      const id = pending.nextId();
      broker.tellSend(() => {
        store(message, publishTimeMs).then(
          () => pending.resolve(id),
          (error) => pending.reject(id, error),
        );
      });
      return pending.wait(id);
    },
    connected: () => !closing,
    async close() {
      closing = true;
      await pending.settled();
    },
  };
}

export function createMemoryConsumer(
  broker: BrokerSide,
  topic: MemoryTopic,
  options: ConsumerOptions,
): Consumer {
  const { exclusive = false } = options;
  const count = exclusive ? 1 : Math.max(1, Math.min(options.connections, options.maxPrefetched));
  const room = Math.max(1, Math.floor(options.maxPrefetched / count));
  const subscription = topic.subscription(options.subscription);
  let paused = false;
  let closed = false;
  const queue = createReceiveQueue<Received>((deliveries) => {
    for (const { handle } of deliveries) (handle as Handle).connection.room += 1;
    if (!paused) for (const connection of connections) subscription.dispatch(connection);
  });
  const connections = Array.from({ length: count }, () => {
    const connection: Connection = {
      exclusive,
      room,
      deliver: (entry) => queue.push(deliveryOf(entry, connection)),
    };
    return connection;
  });
  broker.tell(() => {
    for (const connection of connections) subscription.join(connection);
  });

  function pause(): void {
    paused = true;
    queue.end();
    for (const connection of connections) connection.room = 0;
  }

  return createUnpackingConsumer(
    {
      receive: queue.receive,
      acknowledge(deliveries) {
        broker.tell(() => {
          for (const { handle } of deliveries) {
            const { connection, entry } = handle as Handle;
            subscription.acknowledge(connection, entry);
          }
        });
        return Promise.resolve();
      },
      connected: () => !closed && connections.some(subscription.joined),
      pause,
      close() {
        if (closed) return Promise.resolve();
        closed = true;
        pause();
        broker.tell(() => {
          for (const connection of connections) subscription.leave(connection);
        });
        return Promise.resolve();
      },
    },
    options,
  );
}

export function createMemoryReader(topic: MemoryTopic): Reader {
  let held = 0;
  let closed = false;
  const queue = createReceiveQueue<string>((taken) => {
    held -= taken.length;
  });
  const unfollow = topic.follow((entry) => {
    if (held < MAX_HELD_BY_READER) held += 1;
    else queue.dropOldest();
    queue.push(entry.payload);
  });
  return {
    receive: () => queue.receive(MAX_HELD_BY_READER),
    connected: () => !closed,
    close() {
      closed = true;
      unfollow();
      queue.end();
      return Promise.resolve();
    },
  };
}

function deliveryOf(entry: Entry, connection: Connection): Received {
  const { key, payload, sizeBytes, publishTimeMs, position } = entry;
  const handle: Handle = { connection, entry };
  const content = { key, payload, sizeBytes, bytes: Buffer.from(payload), lost: false };
  return { path: "pulsar", ...content, publishTimeMs, position, handle };
}
