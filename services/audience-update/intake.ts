import type { Priority } from "../../shared/domain/envelope.ts";
import type { Consumer, Delivery, FallbackConsumer } from "../../shared/ports/update-queue.ts";
import { createInFlight, type InFlight, type InFlightLimits } from "./in-flight.ts";

/** One queue that this process consumes, and what it holds of it. */
export type Intake = {
  /** Of the mailboxes that its messages wait in. */
  priority: Priority;
  /** Receives until stopped, as long as there is room in flight. */
  receive(deliver: (delivery: Delivery) => void): Promise<void>;
  /** Acknowledges what was applied, and makes the room free: at once, or where copies are kept, after that. */
  acknowledge(deliveries: readonly Delivery[]): void;
  /** Acknowledges what needs no copy: it was parked. */
  drop(delivery: Delivery): void;
  /**
   * Gives a message back unacknowledged, to come again after about `afterMs`; false where the queue can't.
   */
  giveBack(delivery: Delivery, afterMs: number): boolean;
  /** Messages received since the start. */
  received(): number;
  /** Stops asking. */
  stop(): void;
  inFlight: Pick<InFlight, "messages" | "bytes" | "drained" | "recheck" | "close">;
};

/** Messages asked for at once: bounds by how many bytes a bound on bytes can be passed. */
const MAX_RECEIVE = 500;

/**
 * With `keep`, each applied message is acknowledged only once that has resolved with true.
 * @param options.recheckEveryMs as `createInFlight`
 */
export function createIntake(
  consumer: Consumer | FallbackConsumer,
  limits: () => InFlightLimits,
  options: {
    priority?: Priority;
    recheckEveryMs?: number;
    keep?: (delivery: Delivery) => Promise<boolean>;
  } = {},
): Intake {
  const { priority = "live", keep } = options;
  const inFlight = createInFlight(limits, options);
  let stopped = false;
  let received = 0;
  const free = (deliveries: readonly Delivery[]) => {
    for (const { sizeBytes } of deliveries) inFlight.remove(sizeBytes);
  };
  function acknowledge(deliveries: readonly Delivery[]): void {
    void consumer.acknowledge(deliveries).then(() => free(deliveries));
  }
  function keepFirst(deliveries: readonly Delivery[]): void {
    for (const delivery of deliveries) void keep?.(delivery).then((kept) => kept && acknowledge([delivery]));
  }
  return {
    priority,
    async receive(deliver) {
      while (!stopped) {
        const room = await inFlight.room();
        if (stopped) return;
        const deliveries = await consumer.receive(Math.min(room, MAX_RECEIVE));
        received += deliveries.length;
        for (const { sizeBytes } of deliveries) inFlight.add(sizeBytes);
        for (const delivery of deliveries) deliver(delivery);
      }
    },
    received: () => received,
    acknowledge: keep ? keepFirst : acknowledge,
    drop: (delivery) => acknowledge([delivery]),
    giveBack(delivery, afterMs) {
      if (!("release" in consumer)) return false;
      void consumer.release([delivery], afterMs).then(() => free([delivery]));
      return true;
    },
    stop() {
      stopped = true;
      consumer.pause();
    },
    inFlight,
  };
}
