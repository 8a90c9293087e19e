/** SQS FIFO as its clients see it: groups in order, visibility timeouts, deduplication for five minutes. */
import { createReceiveQueue } from "../../shared/adapters/receive-queue.ts";
import type {
  Delivery,
  FallbackConsumer,
  OutgoingMessage,
  Producer,
  UpdateQueue,
} from "../../shared/ports/update-queue.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import {
  type Content,
  openChannel,
  type SimulatedProcess,
  textOf,
  Unreachable,
  type World,
  within,
} from "./network.ts";

export type SimulatedQueue = {
  connect(process: SimulatedProcess): UpdateQueue;
  /** Takes no message any more, as without the permission; all else goes on. */
  refuse(refuses: boolean): void;
  size(): number;
  /** Everything that the queue ever took. */
  taken(): readonly OutgoingMessage[];
  /** Whether it ever took a message of this key and payload. */
  took(message: Content): boolean;
};

type Message = OutgoingMessage & { sentMs: number; visibleMs: number; receipt: number };

const DEDUPLICATION_MS = 300_000;
const VISIBILITY_MS = 30_000;
const POLL_MS = 2_000;
const SEND_TIMEOUT_MS = 2_000;
const MAX_BATCH = 10;

export function createSimulatedQueue(
  world: World,
  options: {
    maxPrefetched: number;
    onAcknowledge?: (delivery: Delivery, process: SimulatedProcess) => void;
  },
): SimulatedQueue {
  const groups = new Map<string, Message[]>();
  const sent = new Map<string, number>();
  const taken: OutgoingMessage[] = [];
  const takenTexts = new Set<string>();
  let receipts = 0;
  let size = 0;
  let refuses = false;

  function store(message: OutgoingMessage): void {
    if (refuses) throw new KeylineError("queue_send_refused", "simulated SQS: AccessDenied");
    const now = world.time.now();
    const before = sent.get(message.deduplicationId);
    if (before !== undefined && now - before < DEDUPLICATION_MS) return;
    sent.set(message.deduplicationId, now);
    taken.push(message);
    takenTexts.add(textOf(message));
    size += 1;
    const group = groups.get(message.key);
    const stored = { ...message, sentMs: now, visibleMs: 0, receipt: 0 };
    if (group) group.push(stored);
    else groups.set(message.key, [stored]);
  }

  /** A group with a message in flight gives none. */
  function give(max: number): Message[] {
    const now = world.time.now();
    const given: Message[] = [];
    for (const group of groups.values()) {
      if (given.length >= max) break;
      if (group.some(({ visibleMs }) => visibleMs > now)) continue;
      for (const message of group.slice(0, max - given.length)) {
        receipts += 1;
        message.receipt = receipts;
        message.visibleMs = now + VISIBILITY_MS;
        given.push(message);
      }
    }
    return given;
  }

  /** By its receipt, unless it was given to someone else since. */
  function holds({ message, receipt }: Handle): boolean {
    return message.receipt === receipt && message.visibleMs > world.time.now();
  }

  function remove(handle: Handle): void {
    if (!holds(handle)) return;
    const { key } = handle.message;
    const rest = groups.get(key)!.filter((message) => message !== handle.message);
    if (rest.length > 0) groups.set(key, rest);
    else groups.delete(key);
    size -= 1;
  }

  function openProducer(process: SimulatedProcess): Producer {
    const channel = openChannel(world, process, "sqs");
    return {
      send(message) {
        const late = () =>
          new KeylineError("queue_send_timeout", "no answer from SQS in time", { retryable: true });
        const sending = channel
          .request(() => store(message))
          .catch((error: unknown) => {
            if (!(error instanceof Unreachable)) throw error;
            throw new KeylineError("queue_not_connected", "SQS can't be reached", { retryable: true });
          });
        return within(sending, SEND_TIMEOUT_MS, late);
      },
      connected: () => true,
      close: async () => {},
    };
  }

  type Handle = { message: Message; receipt: number };

  function openConsumer(process: SimulatedProcess): FallbackConsumer {
    const channel = openChannel(world, process, "sqs");
    const inHand = new Set<Handle>();
    let prefetched = 0;
    let paused = false;
    const queue = createReceiveQueue<Delivery>((deliveries) => {
      prefetched -= deliveries.length;
    });

    function deliveryOf(message: Message): Delivery {
      const handle: Handle = { message, receipt: message.receipt };
      inHand.add(handle);
      const { key, payload, sentMs: publishTimeMs } = message;
      return { path: "sqs", key, payload, sizeBytes: payload.length, publishTimeMs, handle };
    }

    const poll = setInterval(() => {
      const room = Math.min(MAX_BATCH, options.maxPrefetched - prefetched);
      if (paused || !process.alive || room <= 0) return;
      channel
        .request(() => give(room))
        .then((messages) => {
          if (paused) return;
          prefetched += messages.length;
          for (const message of messages) queue.push(deliveryOf(message));
        })
        .catch(() => {});
    }, POLL_MS);
    const extend = setInterval(() => {
      if (!process.alive || inHand.size === 0) return;
      const held = [...inHand];
      channel
        .request(() => {
          for (const handle of held)
            if (holds(handle)) handle.message.visibleMs = world.time.now() + VISIBILITY_MS;
        })
        .catch(() => {});
    }, VISIBILITY_MS / 3);

    const tell = (deliveries: readonly Delivery[], work: (handle: Handle) => void) => {
      const handles = deliveries.map(({ handle }) => handle as Handle);
      for (const handle of handles) inHand.delete(handle);
      void channel.request(() => handles.forEach(work)).catch(() => {});
      return Promise.resolve();
    };
    return {
      receive: queue.receive,
      acknowledge(deliveries) {
        if (process.alive) for (const delivery of deliveries) options.onAcknowledge?.(delivery, process);
        return tell(deliveries, remove);
      },
      release: (deliveries, afterMs) =>
        tell(deliveries, (handle) => {
          if (holds(handle)) handle.message.visibleMs = world.time.now() + Math.ceil(afterMs / 1_000) * 1_000;
        }),
      connected: () => process.links.sqs.state === "up" && world.servers.sqs.state === "up",
      pause() {
        paused = true;
        queue.end();
      },
      async close() {
        paused = true;
        queue.end();
        clearInterval(poll);
        clearInterval(extend);
      },
    };
  }

  return {
    connect: (process) => ({
      path: "sqs",
      description: "simulated SQS",
      producer: () => openProducer(process),
      consumer: () => openConsumer(process),
      close: async () => {},
    }),
    refuse(now) {
      refuses = now;
    },
    size: () => size,
    taken: () => taken,
    took: (message) => takenTexts.has(textOf(message)),
  };
}
