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

type Poll = { room: number; wanted(): boolean; answer(messages: Message[]): void };
type Message = OutgoingMessage & { sentMs: number; visibleMs: number; receipt: number };

const DEDUPLICATION_MS = 300_000;
const VISIBILITY_MS = 30_000;
/** A client gives up a poll that brings nothing for so long. */
const LONG_POLL_MS = 20_000;
const POLL_REST_MS = 2_000;
/** How long it takes at most until polls that wait hear of a message. */
const MAX_LATE_MS = 2_000;
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
  /** Polls that found nothing yet. */
  let waiting: Poll[] = [];
  let looking = false;
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
    lookSoon();
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

  /** Gives to those that wait. A message is found some time after it came, or became visible again. */
  function lookSoon(): void {
    if (looking || size === 0 || waiting.length === 0) return;
    looking = true;
    world.time.after(world.time.random() * MAX_LATE_MS, () => {
      looking = false;
      if (world.servers.sqs.state === "up") waiting = waiting.filter((poll) => !answered(poll));
      lookSoon();
    });
  }

  /** True where there is nothing more to do for it. */
  function answered({ room, wanted, answer }: Poll): boolean {
    if (!wanted()) return true;
    const messages = give(room);
    if (messages.length > 0) answer(messages);
    return messages.length > 0;
  }

  /** A long poll: waits until there is something, or nobody waits for its answer any more. */
  function receive(room: number, wanted: () => boolean): Promise<Message[]> {
    return new Promise((answer) => {
      const poll: Poll = { room, wanted, answer };
      if (answered(poll)) return;
      waiting.push(poll);
      lookSoon();
    });
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

    async function pollOn(): Promise<void> {
      while (!paused) {
        const room = Math.min(MAX_BATCH, options.maxPrefetched - prefetched);
        if (room > 0) await pollOnce(room);
        await new Promise((resume) => setTimeout(resume, POLL_REST_MS));
      }
    }

    async function pollOnce(room: number): Promise<void> {
      let over = false;
      const wanted = () => !over && !paused && process.alive;
      const asked = channel.request(() => receive(room, wanted));
      const messages = await within(asked, LONG_POLL_MS, () => new Error("none came")).catch(() => []);
      over = true;
      if (paused) return;
      prefetched += messages.length;
      for (const message of messages) queue.push(deliveryOf(message));
    }

    void pollOn();
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
