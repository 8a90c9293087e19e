/** Pulsar as its clients see it: the embedded broker behind a network that fails. */
import { createMemoryBroker } from "../../shared/adapters/memory/memory-broker.ts";
import { createPendingSends } from "../../shared/adapters/pending-sends.ts";
import { blocked, notConnected, refused, unanswered } from "../../shared/adapters/queue-errors.ts";
import { createReceiveQueue } from "../../shared/adapters/receive-queue.ts";
import { contentsOf } from "../../shared/domain/pack.ts";
import type {
  ConsumerOptions,
  PrimaryQueue,
  ProducerOptions,
  Reader,
  Topic,
} from "../../shared/ports/primary-queue.ts";
import type { Consumer, Delivery, OutgoingMessage, Producer } from "../../shared/ports/update-queue.ts";
import { KeylineError } from "../../shared/runtime/errors.ts";
import {
  type Content,
  openChannel,
  type SimulatedProcess,
  seemsConnected,
  setServer,
  textOf,
  Unreachable,
  type World,
} from "./network.ts";

/**
 * Of the messages to a topic so many fail. Of these, some are stored and the answer is lost; the others are refused,
 * or are lost themselves.
 */
export type FailingSends = { topic: Topic; share: number; storedShare: number };

export type SimulatedPulsar = {
  connect(process: SimulatedProcess): PrimaryQueue;
  /** Until it is called with undefined. */
  failSends(failing: FailingSends | undefined): void;
  stall(storesLate: boolean): void;
  /** Takes messages, and delivers none to consumers until it is healed. */
  holdDeliveries(): void;
  crash(): void;
  heal(): void;
  /** Messages of the topic that the subscription has not acknowledged. */
  backlog(topic: string): number;
  /** Everything that the topic ever took, in its order. */
  ledger(topic: string): readonly OutgoingMessage[];
  /** Whether the topic ever took a message of this key and payload. */
  took(topic: string, message: Content): boolean;
};

const LOOK_MS = 500;
/** How long the broker keeps the session of a client that is gone without a word. */
const SESSION_TIMEOUT_MS = 10_000;
const RECONNECT_MS = 1_000;
const NO_TIMEOUT_MS = 2 ** 30;
const UNBOUNDED = 1_000_000;

type Session = { inner: Consumer; endedMs: number | undefined };
type Handle = { session: Session; delivery: Delivery };

export function createSimulatedPulsar(
  world: World,
  onAcknowledge: (delivery: Delivery, process: SimulatedProcess) => void,
): SimulatedPulsar {
  const broker = createMemoryBroker({
    partitions: 4,
    maxRetainedMessages: 1_000,
    maxBacklogMessages: UNBOUNDED,
  });
  const producers = new Map<string, Producer>();
  const ledgers = new Map<string, OutgoingMessage[]>();
  /** Of the ledgers whose messages are looked for, as far as it was read. */
  const ledgerTexts = new Map<string, { known: Set<string>; read: number }>();
  const acknowledged = new Map<string, Set<string>>();
  /** Grows with each crash: sessions of before are gone. */
  let incarnation = 0;
  /** Deliveries that are held back; undefined while none are. */
  let heldBack: (() => void)[] | undefined;
  let failing: FailingSends | undefined;

  const ledgerOf = (topic: string) => entry(ledgers, topic, () => []);
  function textsOf(topic: string): ReadonlySet<string> {
    const ledger = ledgerOf(topic);
    const texts = entry(ledgerTexts, topic, () => ({ known: new Set<string>(), read: 0 }));
    for (; texts.read < ledger.length; texts.read += 1) texts.known.add(textOf(ledger[texts.read]!));
    return texts.known;
  }
  const producerOf = (topic: string) =>
    entry(producers, topic, () =>
      broker.producer({ topic, sendTimeoutMs: NO_TIMEOUT_MS, maxPending: UNBOUNDED }),
    );

  async function append(topic: string, message: OutgoingMessage): Promise<void> {
    await producerOf(topic).send(message);
    const { deduplicationId } = message;
    ledgerOf(topic).push(...contentsOf(message).map((content) => ({ ...content, deduplicationId })));
  }

  /** As `append`, while some sends fail. One that gets no answer never settles. */
  async function take(topic: string, message: OutgoingMessage): Promise<void> {
    if (failing?.topic !== topic || world.time.random() >= failing.share) return append(topic, message);
    if (world.time.random() < failing.storedShare) await append(topic, message);
    else if (world.time.random() < 0.5) throw blocked(topic, "some sends fail");
    await new Promise(() => {});
  }

  function openProducer(process: SimulatedProcess, options: ProducerOptions): Producer {
    const { topic } = options;
    const pending = createPendingSends(options);
    const channel = openChannel(world, process, "pulsar");
    const connected = () => seemsConnected(world, process, "pulsar");
    return {
      send(message) {
        if (!connected()) return Promise.reject(notConnected(topic));
        if (pending.full())
          return Promise.reject(refused(topic, `${options.maxPending} are under way`, true));
        const id = pending.nextId();
        channel
          .request(() => take(topic, message))
          .then(
            () => pending.resolve(id),
            (error: unknown) => pending.reject(id, errorOf(topic, error)),
          );
        return pending.wait(id);
      },
      connected,
      close: () => pending.settled(),
    };
  }

  function openConsumer(process: SimulatedProcess, options: ConsumerOptions): Consumer {
    const channel = openChannel(world, process, "pulsar");
    let held = 0;
    let paused = false;
    let session: Session | undefined;
    let gate = Promise.withResolvers<void>();
    const queue = createReceiveQueue<Delivery>((taken) => {
      held -= taken.length;
      openGate();
    });

    function openGate(): void {
      gate.resolve();
      gate = Promise.withResolvers();
    }

    function open(): void {
      const opened: Session = { inner: broker.consumer(options), endedMs: undefined };
      session = opened;
      const born = incarnation;
      void pump(opened);
      const watch = () => {
        if (
          opened.endedMs === undefined &&
          (born !== incarnation || !seemsConnected(world, process, "pulsar"))
        )
          end(opened);
        // The broker hears of the end at once where the network says so, and by its own timeout where not.
        const silent = process.links.pulsar.state === "silent" && born === incarnation;
        const since = world.time.now() - (opened.endedMs ?? Number.POSITIVE_INFINITY);
        if (since >= (silent ? SESSION_TIMEOUT_MS : 0)) void opened.inner.close();
        else world.time.after(LOOK_MS, watch);
      };
      world.time.after(LOOK_MS, watch);
    }

    function end(ended: Session): void {
      ended.endedMs = world.time.now();
      queue.retain(({ handle }) => (handle as Handle).session !== ended);
      held = 0;
      openGate();
      if (session === ended) session = undefined;
      if (!paused) world.time.after(RECONNECT_MS * world.time.random(), reopen, process);
    }

    function reopen(): void {
      if (paused || !process.alive) return;
      if (seemsConnected(world, process, "pulsar") && process.links.pulsar.state === "up") open();
      else setTimeout(reopen, RECONNECT_MS);
    }

    async function pump(own: Session): Promise<void> {
      while (own.endedMs === undefined) {
        while (held >= options.maxPrefetched && own.endedMs === undefined) await gate.promise;
        const batch = await own.inner.receive(options.maxPrefetched - held);
        if (batch.length === 0 || own.endedMs !== undefined) return;
        held += batch.length;
        const push = () =>
          channel.push(() => {
            if (own.endedMs !== undefined) return;
            for (const delivery of batch) queue.push(heldIn(own, delivery));
          });
        if (heldBack) heldBack.push(push);
        else push();
      }
    }

    open();
    return {
      receive: queue.receive,
      acknowledge(deliveries) {
        for (const { handle } of deliveries) {
          const { session: own, delivery } = handle as Handle;
          if (!process.alive) continue;
          onAcknowledge(delivery, process);
          if (own.endedMs !== undefined) continue;
          void channel
            .request(async () => {
              if (own.endedMs !== undefined) return;
              entry(acknowledged, options.topic, () => new Set()).add(JSON.stringify(delivery.position));
              await own.inner.acknowledge([delivery]);
            })
            .catch(() => {});
        }
        return Promise.resolve();
      },
      connected: () => session !== undefined && seemsConnected(world, process, "pulsar"),
      pause() {
        paused = true;
        queue.end();
      },
      async close() {
        paused = true;
        queue.end();
        const own = session;
        // Behind the acknowledgements that are on their way.
        if (own) void channel.request(() => own.inner.close()).catch(() => {});
      },
    };
  }

  function openReader(process: SimulatedProcess, topic: string): Reader {
    const inner = broker.reader(topic);
    const channel = openChannel(world, process, "pulsar");
    const queue = createReceiveQueue<string>(() => {});
    void (async () => {
      for (let texts = await inner.receive(); texts.length > 0; texts = await inner.receive())
        channel.push(() => {
          for (const text of texts) queue.push(text);
        });
    })();
    return {
      receive: () => queue.receive(1_000),
      connected: () => seemsConnected(world, process, "pulsar"),
      async close() {
        queue.end();
        await inner.close();
      },
    };
  }

  return {
    connect: (process) => ({
      description: "simulated Pulsar",
      producer: (options) => openProducer(process, options),
      consumer: (options) => openConsumer(process, options),
      reader: (topic) => openReader(process, topic),
      close: async () => {},
    }),
    stall(storesLate) {
      setServer(world, "pulsar", "stalled");
      broker.break({ storesLate });
    },
    failSends(now) {
      failing = now;
    },
    crash() {
      incarnation += 1;
      setServer(world, "pulsar", "down");
      broker.break({ storesLate: false });
    },
    holdDeliveries() {
      heldBack = [];
    },
    heal() {
      const pushes = heldBack ?? [];
      heldBack = undefined;
      for (const push of pushes) push();
      broker.heal();
      setServer(world, "pulsar", "up");
    },
    backlog: (topic) => ledgerOf(topic).length - (acknowledged.get(topic)?.size ?? 0),
    ledger: ledgerOf,
    took: (topic, message) => textsOf(topic).has(textOf(message)),
  };
}

function heldIn(session: Session, delivery: Delivery): Delivery {
  const { path, key, payload, sizeBytes, publishTimeMs, position } = delivery;
  return { path, key, payload, sizeBytes, publishTimeMs, position: position!, handle: { session, delivery } };
}

function errorOf(topic: string, error: unknown): KeylineError {
  if (error instanceof Unreachable) return unanswered(topic, "lost");
  return error instanceof KeylineError ? error : refused(topic, String(error), true);
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}
