import { setTimeout as sleep } from "node:timers/promises";
import type { ConsumerOptions, Topic } from "../../ports/primary-queue.ts";
import type { Consumer, LedgerPosition } from "../../ports/update-queue.ts";
import { toError } from "../../runtime/errors.ts";
import { parseMessageId } from "../message-id.ts";
import { createReceiveQueue } from "../receive-queue.ts";
import { createUnpackingConsumer, type Received } from "../unpacking-consumer.ts";
import { watchConsumedTopics } from "./consumed-topics.ts";
import { type Endpoint, sessionUrl } from "./endpoint.ts";
import { createMeanBytes, permitsDue } from "./permits.ts";
import { openReconnectingSocket, type Session } from "./reconnecting-socket.ts";

/** One message as the server sends it; a message without a key has none. */
type MessageFrame = { messageId: string; payload: string; publishTime: string; key?: string };

/** The session that delivered a message is the only one that can acknowledge it. */
type Handle = { messageId: string; permits: Permits };

/** Of one session: the messages that it was asked for and that were not taken yet. */
type Permits = { session: Session; open: boolean; outstanding: number };

/** One consumer at the broker, which comes back by itself until it leaves. */
type Connection = { open(): boolean; leave(): Promise<void> };

/** How long old connections stay beside new ones that do not come to be: a few are made at a time. */
const MAX_OVERLAP_MS = 30_000;

/**
 * Messages that the server has at hand for a session, whatever it was asked for. What it has, a consumer that joins has to
 * wait for: of packs that many are a second's work. With half as many, single messages come a twentieth slower.
 */
const RECEIVER_QUEUE = 200;

/**
 * Consumes by pull: the server sends as many messages as were permitted, and every `receive` permits as many
 * as it took, or fewer of longer ones. So what is taken slowly comes slowly.
 */
export function createWebSocketConsumer(endpoint: Endpoint, options: ConsumerOptions): Consumer {
  const { exclusive = false } = options;
  const connections = exclusive ? 1 : Math.max(1, Math.min(options.connections, options.maxPrefetched));
  const share = Math.max(1, Math.floor(options.maxPrefetched / connections));
  const meanBytes = createMeanBytes();
  let paused = false;
  const queue = createReceiveQueue<Received>((deliveries) => {
    for (const delivery of deliveries) {
      const { permits } = delivery.handle as Handle;
      permits.outstanding -= 1;
      permit(permits);
    }
  });
  // Refuses a topic that is none here, where the caller hears it.
  sessionUrl(endpoint, "consumer", options.topic, {}, options.subscription);
  let open: Connection[] = [];
  let replacing = Promise.resolve();
  const topics = watchConsumedTopics(endpoint, options.topic, connections, (planned) => {
    if (paused) return;
    const before = open;
    const after = planned.map(openConnection);
    open = after;
    // The new ones come before the old ones leave. Where a subscription is without any consumer for a moment, a
    // broker (4.0.8) may forget to deliver again what they held, until the partition gets its next message.
    replacing = replacing.then(async () => {
      // An exclusive one is refused for as long as the one before it is there.
      if (before.length > 0 && !exclusive) await untilOpen(after, () => paused);
      await Promise.all(before.map((connection) => connection.leave()));
    });
  });

  function openConnection(topic: Topic, index: number): Connection {
    let permits: Permits | undefined;
    const url = sessionUrl(
      endpoint,
      "consumer",
      topic,
      {
        subscriptionType: exclusive ? "Exclusive" : "Key_Shared",
        subscriptionInitialPosition: "Earliest",
        pullMode: "true",
        receiverQueueSize: RECEIVER_QUEUE,
        ...(options.name === undefined ? {} : { consumerName: `${options.name}-${index}` }),
      },
      options.subscription,
    );
    const socket = openReconnectingSocket(endpoint, url, {
      onOpen(session) {
        permits = { session, open: true, outstanding: 0 };
        permit(permits);
      },
      onMessage(data, session) {
        try {
          const delivery = deliveryOf(data, permits!);
          meanBytes.observe(delivery.sizeBytes);
          queue.push(delivery);
        } catch (thrown) {
          session.abandon(`an unreadable message: ${toError(thrown).message}`);
        }
      },
      onLost(session) {
        if (permits?.session === session) forget(permits);
      },
    });
    return {
      open: () => socket.session() !== undefined,
      async leave() {
        if (permits !== undefined && !paused) forget(permits);
        await socket.close();
      },
    };
  }

  /** The broker delivers again what the session held: taking it now would only make duplicates. */
  function forget(lost: Permits): void {
    lost.open = false;
    queue.retain((delivery) => (delivery.handle as Handle).permits !== lost);
  }

  function permit(permits: Permits): void {
    const more = permitsDue(share, permits.outstanding, meanBytes.value());
    if (more === 0 || !permits.open || paused) return;
    permits.outstanding += more;
    permits.session.send(`{"type":"permit","permitMessages":${more}}`);
  }

  function pause(): void {
    paused = true;
    queue.end();
  }

  return createUnpackingConsumer(
    {
      receive: queue.receive,
      acknowledge(deliveries) {
        for (const { handle } of deliveries) {
          const { permits, messageId } = handle as Handle;
          if (permits.open) permits.session.sendLater(`{"messageId":"${messageId}"}`);
        }
        return Promise.resolve();
      },
      connected: () => open.some((connection) => connection.open()),
      pause,
      async close() {
        pause();
        await topics.close();
        await replacing;
        await Promise.all(open.map((connection) => connection.leave()));
      },
    },
    options,
  );
}

/** Waits until all are connected, for a bounded time. */
async function untilOpen(connections: readonly Connection[], isPaused: () => boolean): Promise<void> {
  const deadline = performance.now() + MAX_OVERLAP_MS;
  const isOver = () => isPaused() || performance.now() >= deadline;
  while (connections.some((connection) => !connection.open()) && !isOver()) await sleep(10);
}

function deliveryOf(data: Buffer, permits: Permits): Received {
  return new WebSocketDelivery(JSON.parse(data.toString()) as MessageFrame, permits);
}

/**
 * Waits in many thousands, so it keeps little on the heap: the payload as bytes, and what is asked for of few
 * messages as it came. (A class, because an object literal's getters would be made anew for each message.)
 */
class WebSocketDelivery implements Received {
  readonly path = "pulsar";
  readonly key: string;
  readonly sizeBytes: number;
  readonly handle: Handle;
  readonly bytes: Buffer;
  readonly #publishTime: string;
  #publishTimeMs: number | undefined;

  constructor(frame: MessageFrame, permits: Permits) {
    this.key = frame.key ?? "";
    this.bytes = Buffer.from(frame.payload, "base64");
    this.sizeBytes = this.bytes.length;
    this.handle = { messageId: frame.messageId, permits };
    this.#publishTime = frame.publishTime;
  }

  get lost(): boolean {
    return !this.handle.permits.open;
  }

  get payload(): string {
    return this.bytes.toString();
  }

  /** Asked for by each update of a pack. */
  get publishTimeMs(): number {
    this.#publishTimeMs ??= Date.parse(this.#publishTime);
    return this.#publishTimeMs;
  }

  get position(): LedgerPosition {
    return parseMessageId(Buffer.from(this.handle.messageId, "base64"));
  }
}
