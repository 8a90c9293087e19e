import type { PrimaryQueue } from "../ports/primary-queue.ts";
import type { Producer, UpdateQueue } from "../ports/update-queue.ts";
import type { Routing } from "../routing/start-routing.ts";
import type { breakerSettings, connectionSettings } from "../runtime/connection-settings.ts";
import type { Lifecycle } from "../runtime/lifecycle.ts";
import type { Log } from "../runtime/log.ts";
import type { publisherSettings } from "../runtime/publisher-settings.ts";
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
    | "keyGroups"
    | "publishDeadlineMs"
    | "maxUnderWay"
    | "bulkDelayMs"
    | "maxNumberedUsers"
    | "tailMs"
    | "maxTailUpdates"
    | "maxTailBytes"
  > & { maxUpdateBytes: number };
  /** True: nothing but live updates is published, so that no connections for others are held. */
  liveOnly?: boolean;
  log: Log;
  /** Milliseconds since the epoch, for stamps. */
  now(): number;
};

/** A publisher with producers of its own, on queues and a routing that are there already; `lifecycle` owns them. */
export function openPublisher(
  lifecycle: Lifecycle,
  { primary, fallback, routing, settings, liveOnly = false, log, now }: OpenPublisherOptions,
): {
  publisher: Publisher;
  primaryProducer: Producer;
  /** To Pulsar, with all that it sends. */
  connected(): boolean;
} {
  const topics = topicsOf(settings.pulsarNamespace);
  const { pulsarSendTimeoutMs: sendTimeoutMs } = settings;
  const primaryProducer = lifecycle.own(
    "primary producer",
    primary.producer({ topic: topics.updates, sendTimeoutMs, maxPending: settings.pulsarMaxPending }),
  );
  const bulkProducer = liveOnly
    ? undefined
    : lifecycle.own(
        "bulk producer",
        primary.producer({ topic: topics.bulk, sendTimeoutMs, maxPending: settings.pulsarMaxPending }),
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
      ...(bulkProducer && { bulk: { producer: bulkProducer, targetDelayMs: settings.bulkDelayMs } }),
      fallback: fallbackProducer,
      breaker: routing.breaker,
      route: routing.router.route,
      tail,
      deadlineMs: settings.publishDeadlineMs,
      maxUnderWay: settings.maxUnderWay,
      maxPending: { pulsar: settings.pulsarMaxPending, sqs: settings.sqsMaxPending },
      keyGroups: settings.keyGroups,
      maxUsers: settings.maxNumberedUsers,
      maxUpdateBytes: settings.maxUpdateBytes,
      now: now,
    }),
  );
  const connected = () => primaryProducer.connected() && (bulkProducer?.connected() ?? true);
  return { publisher, primaryProducer, connected };
}
