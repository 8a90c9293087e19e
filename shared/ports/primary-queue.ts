import type { Consumer, Producer } from "./update-queue.ts";

/** The topics of one installation, full names such as `persistent://public/keyline/updates`. */
export type Topic = string;

/** How a broker keeps what a producer sends; whoever reads it gets it as it was. */
export type Compression = "none" | "lz4" | "zstd";

export type ProducerOptions = {
  topic: Topic;
  /** No answer within this time rejects the send with `queue_send_timeout`. */
  sendTimeoutMs: number;
  /** Sends under way at once; one more rejects at once with `queue_send_refused`. */
  maxPending: number;
};

export type ConsumerOptions = {
  topic: Topic;
  /** The durable subscription, Key_Shared but for `exclusive`; it starts at the earliest message when it is new. */
  subscription: string;
  /**
   * One consumer alone, on one connection, which gets each partition's messages in their order. While another
   * consumer is on the subscription it is not `connected()` and receives nothing; it comes when that one leaves.
   */
  exclusive?: boolean;
  /** Messages may be packs (`shared/domain/pack.ts`), and are taken apart. */
  holdsPacks?: boolean;
  /**
   * Connections to the broker, each a Key_Shared consumer of its own. An adapter whose client shares a connection
   * among consumers has one consumer.
   */
  connections: number;
  /** Starts the names by which the broker's figures list these consumers; by default the broker makes some up. */
  name?: string;
  /** Messages that the adapter may hold before `receive` takes them, all connections together. */
  maxPrefetched: number;
};

/** Reads a topic without a durable subscription, from its end on; for the canary of the health sample. */
export type Reader = {
  /** As `Consumer.receive`, each message's payload. */
  receive(): Promise<string[]>;
  connected(): boolean;
  close(): Promise<void>;
};

/** The primary queue: Pulsar by one of its clients, or the embedded broker. */
export type PrimaryQueue = {
  description: string;
  producer(options: ProducerOptions): Producer;
  consumer(options: ConsumerOptions): Consumer;
  reader(topic: Topic): Reader;
  /** Closes the connections that are left. */
  close(): Promise<void>;
};
