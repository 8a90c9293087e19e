/**
 * Publishes what waits in the ledger queue to its Pulsar topic, so that the ledger ends complete. In one of two
 * modes:
 *
 * - resting: Pulsar is not where this process would send, or the last publish failed; nothing is received
 * - completing: each message is received, published under the breaker, and deleted after Pulsar's answer; the first
 *   failure, or a change of route, ends it, and what is then left in hand goes back to the ledger queue
 *
 * The publishing is paced: on the topic these updates stand between live ones, and cost a delivery each.
 *
 * A crash between publish and delete publishes again. Consumers drop the repeat by (src, seq), and so must every
 * other reader of the ledger.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Delivery, Producer, UpdateQueue } from "../../shared/ports/update-queue.ts";
import type { Breaker } from "../../shared/routing/breaker.ts";
import type { Route } from "../../shared/routing/router.ts";
import { createPace } from "../../shared/runtime/pace.ts";
import { createIntake, type Intake } from "./intake.ts";
import { copyOf } from "./ledger-keeper.ts";

/** Messages received from the ledger queue and not yet deleted, and their bytes. */
export const MAX_COMPLETIONS_UNDER_WAY = 256;
const MAX_BYTES_UNDER_WAY = 16_777_216;
const LOOK_EVERY_MS = 250;
/** A message that Pulsar refuses stands back for this long, so that others get through. */
const GIVE_BACK_MS = 5_000;

export type LedgerCompletionOptions = {
  /** The ledger queue. */
  queue: Pick<UpdateQueue, "consumer">;
  /** To the topic of all updates. */
  producer: Producer;
  breaker: Pick<Breaker, "guard" | "verdict">;
  route(): Route;
  /** Nothing is received before: a process that has just started knows its own breaker only. */
  routeHeard: Promise<void>;
  /** At most so many are published a second. */
  perSecond: number;
  restMs(failures: number): number;
  onCompleted(): void;
  onFailed(error: unknown): void;
};

export type LedgerCompletion = {
  /** Receives no more, waits for what is under way; what is not published goes back to the ledger queue. */
  close(): Promise<void>;
};

export function startLedgerCompletion(options: LedgerCompletionOptions): LedgerCompletion {
  const { producer, breaker, route } = options;
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
    const intake = createIntake(consumer, limits);
    const turn = createPace(options.perSecond);
    const leaving = new AbortController();
    const ends = AbortSignal.any([stopping.signal, leaving.signal]);
    let failed = false;
    const receiving = intake.receive(async (delivery) => {
      await turn(ends).catch(() => {});
      if (ends.aborted || !mayComplete()) intake.giveBack(delivery, 0);
      else if (await complete(delivery, intake)) return;
      else failed = true;
      leaving.abort();
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
      await breaker.guard(() => producer.send(copyOf(delivery)));
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
