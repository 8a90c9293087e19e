/**
 * Publishes what waits in an SQS queue to its Pulsar topic: from the ledger queue to `updates`, so that the ledger ends
 * complete, and from the changes queue to `changes`. In one of two modes:
 *
 * - resting: Pulsar is not where this process would send, or the last publish failed; nothing is received
 * - completing: each message is received, published under the breaker, and deleted after Pulsar's answer; the first
 *   failure, or a change of route, ends it, and what is then left in hand goes back to the queue
 *
 * The publishing is paced: on the topic of updates these stand between live ones, and cost a delivery each.
 *
 * A crash between publish and delete publishes again. Readers drop the repeat: of an update by (src, seq), of a
 * membership change by its number.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { PrimaryQueue, Topic } from "../../shared/ports/primary-queue.ts";
import type { Delivery, OutgoingMessage, Producer, UpdateQueue } from "../../shared/ports/update-queue.ts";
import { createSendInPacks } from "../../shared/publish/send-in-packs.ts";
import type { Breaker } from "../../shared/routing/breaker.ts";
import type { Route } from "../../shared/routing/router.ts";
import type { Routing } from "../../shared/routing/start-routing.ts";
import { createKeyedOrder } from "../../shared/runtime/keyed-order.ts";
import type { Lifecycle } from "../../shared/runtime/lifecycle.ts";
import { type Log, logRepeated } from "../../shared/runtime/log.ts";
import { createPace } from "../../shared/runtime/pace.ts";
import type { CompletionMetrics, WaitingQueue } from "./completion-metrics.ts";
import { createIntake, type Intake } from "./intake.ts";
import { copyOf } from "./ledger-keeper.ts";
import { restMs } from "./rest.ts";

/**
 * Messages that are being published, and their bytes. As many messages of SQS may be held besides, each a pack of 64 KiB
 * at most.
 */
export const MAX_COMPLETIONS_UNDER_WAY = 256;
const MAX_BYTES_UNDER_WAY = 16_777_216;
const LOOK_EVERY_MS = 250;
/** A message that Pulsar refuses stands back for this long, so that others get through. */
const GIVE_BACK_MS = 5_000;

export type CompletionOptions = {
  /** Where messages wait. */
  queue: Pick<UpdateQueue, "consumer">;
  /** To their topic. */
  producer: Producer;
  breaker: Pick<Breaker, "guard" | "verdict">;
  route(): Route;
  /** Nothing is received before: a process that has just started knows its own breaker only. */
  routeHeard: Promise<void>;
  /** At most so many are published a second; looked at each time. */
  perSecond(): number;
  /** Whether the messages of one key go one after the other, in their order; it costs each the wait for an answer. */
  inOrder: boolean;
  /** Given where messages travel in packs, as publishers send them there. */
  packing?: { keyGroups: number; turnWithinMs: number };
  restMs(failures: number): number;
  onCompleted(): void;
  onFailed(error: unknown): void;
};

export type Completion = {
  /** Receives no more, waits for what is under way; what is not published goes back to the queue. */
  close(): Promise<void>;
};

export function startCompletion(options: CompletionOptions): Completion {
  const { producer, breaker, route, packing } = options;
  const sendOne = (message: OutgoingMessage, updates = 1) =>
    breaker.guard(() => producer.send(message), updates);
  const send = packing
    ? createSendInPacks(sendOne, { ...packing, maxPending: MAX_COMPLETIONS_UNDER_WAY })
    : sendOne;
  const stopping = new AbortController();
  /** Rounds in a row that ended in a failure without a success before it. */
  let failures = 0;

  /** An operator may say pulsar while this process's own link is cut. */
  function mayComplete(): boolean {
    return (
      !stopping.signal.aborted &&
      route().path === "pulsar" &&
      breaker.verdict().route === "pulsar" &&
      producer.connected()
    );
  }

  async function rest(restMs: number, signal = stopping.signal): Promise<void> {
    await sleep(restMs, undefined, { signal }).catch(() => {});
  }

  async function run(): Promise<void> {
    await options.routeHeard;
    while (!stopping.signal.aborted) {
      if (mayComplete()) await completeWhileHealthy();
      await rest(failures === 0 ? LOOK_EVERY_MS : options.restMs(failures));
    }
  }

  async function completeWhileHealthy(): Promise<void> {
    const consumer = options.queue.consumer();
    const limits = { maxMessages: MAX_COMPLETIONS_UNDER_WAY, maxBytes: MAX_BYTES_UNDER_WAY };
    const intake = createIntake(consumer, () => limits);
    const turn = createPace(options.perSecond);
    const leaving = new AbortController();
    const ends = AbortSignal.any([stopping.signal, leaving.signal]);
    let failed = false;

    async function handle(delivery: Delivery): Promise<void> {
      await turn(ends).catch(() => {});
      if (ends.aborted || !mayComplete()) intake.giveBack(delivery, 0);
      else if (await complete(delivery, intake)) return;
      else failed = true;
      leaving.abort();
    }

    const order = createKeyedOrder();
    const receiving = intake.receive((delivery) => {
      void (options.inOrder ? order(delivery.key, () => handle(delivery)) : handle(delivery));
    });
    ends.addEventListener("abort", intake.stop, { once: true });
    while (!leaving.signal.aborted && mayComplete()) await rest(LOOK_EVERY_MS, ends);
    // Also where nothing failed: Node keeps a signal of several that has a listener until one of them aborts.
    leaving.abort();
    await receiving;
    await intake.inFlight.drained();
    await consumer.close();
    if (failed) failures += 1;
  }

  async function complete(delivery: Delivery, intake: Intake): Promise<boolean> {
    try {
      await send(copyOf(delivery));
    } catch (error) {
      options.onFailed(error);
      intake.giveBack(delivery, GIVE_BACK_MS);
      return false;
    }
    intake.acknowledge([delivery]);
    failures = 0;
    options.onCompleted();
    return true;
  }

  const running = run();
  return {
    async close() {
      stopping.abort();
      await running;
    },
  };
}

/** The completion of one queue with a producer of its own; `lifecycle` owns that, and the caller closes first. */
export function openCompletion(
  lifecycle: Lifecycle,
  options: {
    name: WaitingQueue;
    queue: Pick<UpdateQueue, "consumer">;
    topic: Topic;
    primary: PrimaryQueue;
    routing: Pick<Routing, "router" | "breaker">;
    settings: { pulsarSendTimeoutMs: number; keyGroups: number };
    perSecond(): number;
    metrics: CompletionMetrics;
    log: Log;
  },
): Completion {
  const { name, queue, topic, primary, routing, settings, perSecond, metrics, log } = options;
  const onFailed = logRepeated(log, "warn", `could not publish from the ${name} queue, it is tried again`);
  const maxPending = MAX_COMPLETIONS_UNDER_WAY;
  const { pulsarSendTimeoutMs: sendTimeoutMs, keyGroups } = settings;
  return startCompletion({
    queue,
    producer: lifecycle.own(`${name} producer`, primary.producer({ topic, sendTimeoutMs, maxPending })),
    // Changes are for any reader.
    ...(name === "ledger" && { packing: { keyGroups, turnWithinMs: sendTimeoutMs } }),
    breaker: routing.breaker,
    route: routing.router.route,
    routeHeard: routing.router.firstHeard,
    perSecond,
    // Stamps give the order of updates. Of changes, who gets a later number first drops the earlier one.
    inOrder: name === "changes",
    restMs,
    onCompleted: () => metrics.completion(name, "completed"),
    onFailed(error) {
      metrics.completion(name, "failed");
      onFailed(error);
    },
  });
}
