import type { PrimaryQueue } from "../ports/primary-queue.ts";
import type { Producer, UpdateQueue } from "../ports/update-queue.ts";
import type { Routing } from "../routing/start-routing.ts";
import type {
  breakerSettings,
  connectionSettings,
  publisherSettings,
} from "../runtime/connection-settings.ts";
import type { Lifecycle } from "../runtime/lifecycle.ts";
import type { Log } from "../runtime/log.ts";
import type { Values } from "../runtime/settings.ts";
import { topicsOf } from "../runtime/topics.ts";
import { createPublisher, type Publisher } from "./publisher.ts";
import { createTail } from "./tail.ts";

export type OpenPublisherOptions = {
  primary: PrimaryQueue;
  fallback: Pick<UpdateQueue, "producer">;
  routing: Pick<Routing, "router" | "breaker">;
  settings: Pick<
    Values<typeof connectionSettings & typeof breakerSettings & typeof publisherSettings>,
    | "pulsarNamespace"
    | "pulsarSendTimeoutMs"
    | "pulsarMaxPending"
    | "sqsMaxPending"
    | "publishDeadlineMs"
    | "maxUnderWay"
    | "maxNumberedUsers"
    | "tailMs"
    | "maxTailUpdates"
    | "maxTailBytes"
  > & { maxUpdateBytes: number };
  log: Log;
  /** Milliseconds since the epoch, for stamps. */
  now(): number;
};

/** A publisher with producers of its own, on queues and a routing that are there already; `lifecycle` owns them. */
export function openPublisher(
  lifecycle: Lifecycle,
  { primary, fallback, routing, settings, log, now }: OpenPublisherOptions,
): { publisher: Publisher; primaryProducer: Producer } {
  const primaryProducer = lifecycle.own(
    "primary producer",
    primary.producer({
      topic: topicsOf(settings.pulsarNamespace).updates,
      sendTimeoutMs: settings.pulsarSendTimeoutMs,
      maxPending: settings.pulsarMaxPending,
    }),
  );
  const fallbackProducer = lifecycle.own("fallback producer", fallback.producer());
  const tail = lifecycle.own(
    "tail",
    createTail({
      fallback: fallbackProducer,
      router: routing.router,
      tailMs: settings.tailMs,
      maxUpdates: settings.maxTailUpdates,
      maxBytes: settings.maxTailBytes,
      closeWithinMs: settings.publishDeadlineMs,
      log,
      now: () => performance.now(),
    }),
  );
  const publisher = lifecycle.own(
    "publisher",
    createPublisher({
      primary: primaryProducer,
      fallback: fallbackProducer,
      breaker: routing.breaker,
      route: routing.router.route,
      tail,
      deadlineMs: settings.publishDeadlineMs,
      maxUnderWay: settings.maxUnderWay,
      maxPending: { pulsar: settings.pulsarMaxPending, sqs: settings.sqsMaxPending },
      maxUsers: settings.maxNumberedUsers,
      maxUpdateBytes: settings.maxUpdateBytes,
      now: now,
    }),
  );
  return { publisher, primaryProducer };
}
