/**
 * The port to the two brokers that carry updates. Pulsar is the primary queue and the ledger, SQS FIFO the
 * fallback. Both keep the messages of one key in order, and both deliver at least once.
 *
 * Adapters never fail to open: a producer or consumer of a broker that is away connects in the background,
 * its `send` rejects at once and its `receive` waits. The service can therefore start during an outage.
 */

/** How an update travelled. */
export type Path = "pulsar" | "sqs";

/** One message as a producer hands it over. */
export type OutgoingMessage = {
  /** What the broker keeps in order: the user. Any string. */
  key: string;
  /** UTF-8 text, usually JSON; or a pack (`shared/domain/pack.ts`), of which consumers receive each message by itself. */
  payload: string;
  /** The same text for the same message, so that a broker that can (SQS FIFO, 5 minutes) drops a repeat. */
  deduplicationId: string;
};

/**
 * Where a message stands in the ledger. Grows with each message of one partition.
 * `entryId` counts within a ledger, `batchIndex` within a pack or another producer's batch (0 when there is none).
 */
export type LedgerPosition = { partition: number; ledgerId: number; entryId: number; batchIndex: number };

/** One message as a consumer receives it. */
export type Delivery = {
  path: Path;
  key: string;
  payload: string;
  /** Size of `payload` in bytes, what the in-flight bound counts. */
  sizeBytes: number;
  /** When the producer's client sent it, milliseconds since the epoch. */
  publishTimeMs: number;
  /** Present on the primary queue only; of a message that came in a pack, its place there is the `batchIndex`. */
  position?: LedgerPosition;
  /** The adapter's own handle for acknowledging; opaque to everyone else. */
  handle: unknown;
};

export type Producer = {
  /**
   * Resolves when the broker has the message durably. Rejects with a KeylineError:
   * `queue_not_connected` at once when there is no connection, `queue_send_timeout` when no answer came
   * in time or the connection was lost before it (the broker may have the message all the same),
   * `queue_send_refused` when this process holds too much or the message is at fault, `queue_blocked` when the
   * broker takes no message there, whatever it is (its backlog is full, the topic is terminated).
   */
  send(message: OutgoingMessage, queue?: number): Promise<void>;
  /**
   * Where it sends to several queues: how many, and the number of the one that takes the key, from 0 on. Whoever bounds
   * what is under way does it for each, so that one that does not answer keeps only its own keys waiting. `send` takes
   * another number for a message whose order does not matter.
   */
  queues?: { readonly count: number; of(key: string): number };
  /** True when a send has a chance: connected, or (SQS) connectionless. */
  connected(): boolean;
  /** Waits for sends under way, then closes. */
  close(): Promise<void>;
};

export type Consumer = {
  /**
   * Resolves with 1 to `maxMessages` messages as soon as there are some, in order of delivery; with none only
   * after `pause` or `close`. Never rejects for a broker that is away: it waits and reconnects. One call at
   * a time.
   */
  receive(maxMessages: number): Promise<Delivery[]>;
  /**
   * Acknowledges. Best effort: an acknowledgement that gets lost means that the message comes again.
   * Resolves when the adapter has handed it to its client, not when the broker has it. Never rejects.
   */
  acknowledge(deliveries: readonly Delivery[]): Promise<void>;
  /** True when messages can come, if only from one of several queues. */
  connected(): boolean;
  /**
   * Stops asking for messages. A `receive` that waits resolves with none; what was received can still be
   * acknowledged until `close`.
   */
  pause(): void;
  /** Flushes acknowledgements and leaves. What is not acknowledged is delivered again, to someone else. */
  close(): Promise<void>;
};

/** A consumer of the fallback queue, which can also give messages back. */
export type FallbackConsumer = Consumer & {
  /**
   * Gives messages back without acknowledging; they come again after about `afterMs` (whole seconds, rounded
   * up), to anyone, each key's in order. Later messages of the same keys that `receive` has not returned yet
   * go back with them. Best effort as `acknowledge`. Never rejects.
   */
  release(deliveries: readonly Delivery[], afterMs: number): Promise<void>;
  /** The addresses of the queues from which no message can come now; absent where an adapter has but one. */
  unreachable?(): string[];
};

/** The fallback queue. */
export type UpdateQueue = {
  path: Path;
  /** What runs and why, for the log line at start: "SQS FIFO at http://…". */
  description: string;
  producer(): Producer;
  consumer(): FallbackConsumer;
  close(): Promise<void>;
};
