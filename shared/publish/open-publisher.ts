import type { PrimaryQueue } from "../ports/primary-queue.ts";
import type { Producer, UpdateQueue } from "../ports/update-queue.ts";
import type { Routing } from "../routing/start-routing.ts";
import type {
  breakerSettings,
  connectionSettings,
  publisherSettings,
} from "../runtime/connection-settings.ts";
import type { Lifecycle } from "../runtime/lifecycle.ts";
import type { Values } from "../runtime/settings.ts";
import { topicsOf } from "../runtime/topics.ts";
import { createPublisher, type Publisher } from "./publisher.ts";

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
  > & { maxUpdateBytes: number };
};

/** A publisher with producers of its own, on queues and a routing that are there already; `lifecycle` owns them. */
export function openPublisher(
  lifecycle: Lifecycle,
  { primary, fallback, routing, settings }: OpenPublisherOptions,
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
  const publisher = lifecycle.own(
    "publisher",
    createPublisher({
      primary: primaryProducer,
      fallback: fallbackProducer,
      breaker: routing.breaker,
      route: routing.router.route,
      deadlineMs: settings.publishDeadlineMs,
      maxUnderWay: settings.maxUnderWay,
      maxPending: { pulsar: settings.pulsarMaxPending, sqs: settings.sqsMaxPending },
      maxUsers: settings.maxNumberedUsers,
      maxUpdateBytes: settings.maxUpdateBytes,
      now: Date.now,
    }),
  );
  return { publisher, primaryProducer };
}
