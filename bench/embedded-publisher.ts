import { createMemoryBroker } from "../shared/adapters/memory/memory-broker.ts";
import { createPublisher, type Publisher } from "../shared/publish/publisher.ts";
import { publisherSettings } from "../shared/runtime/publisher-settings.ts";
import { topicsOf } from "../shared/runtime/topics.ts";

/** Of the gateway that is measured, and its publisher. */
export const MAX_UNDER_WAY = 20_000;

/**
 * Publishes to an embedded broker, so that Pulsar is no part of what is measured. It keeps nothing: the garbage collector
 * would copy what it holds, in the gateway's own process.
 */
export function createEmbeddedPublisher(): Publisher {
  const broker = createMemoryBroker({ partitions: 4, maxRetainedMessages: 0 });
  const { updates: topic } = topicsOf("public/keyline");
  const producer = broker.producer({ topic, sendTimeoutMs: 5_000, maxPending: 10_000 });
  return createPublisher({
    primary: producer,
    fallback: producer,
    breaker: { guard: (send: () => Promise<unknown>) => send() } as never,
    route: () => ({ path: "pulsar", by: "fleet" }) as never,
    tail: { add: () => {}, resent: () => 0 },
    deadlineMs: 3_000,
    maxUnderWay: MAX_UNDER_WAY,
    maxPending: { pulsar: 10_000, sqs: 10_000 },
    keyGroups: Number(publisherSettings.keyGroups.default),
    maxUsers: 1_000_000,
    maxUpdateBytes: 131_072,
    now: Date.now,
  });
}
