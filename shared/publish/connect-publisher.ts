import { openFallbackQueue, openPrimaryQueue, openStores } from "../adapters/open.ts";
import { type Routing, startRouting } from "../routing/start-routing.ts";
import { breakerSettings, connectionSettings, sharedSettings } from "../runtime/connection-settings.ts";
import type { KeylineError } from "../runtime/errors.ts";
import { createLifecycle } from "../runtime/lifecycle.ts";
import { createLog, type Log } from "../runtime/log.ts";
import { publisherSettings } from "../runtime/publisher-settings.ts";
import { settingsFrom, url, type Values } from "../runtime/settings.ts";
import { topicsOf } from "../runtime/topics.ts";
import { openPublisher } from "./open-publisher.ts";
import type { Publisher } from "./publisher.ts";
import { readyToSend } from "./ready-to-send.ts";

export type { Operation, Priority, Update } from "../domain/envelope.ts";
// biome-ignore lint/performance/noBarrelFile: the one entry of the library, with what its callers need
export { KeylineError } from "../runtime/errors.ts";
export { PublishError } from "./publish-error.ts";
export type {
  Publisher,
  PublishResult,
  Receipt,
  UserPublisher,
} from "./publisher.ts";
export type { UpdateInput } from "./update-input.ts";

/** A publisher's settings: each can be given to `connectPublisher` or stand in the environment. */
export const publisherConnectionSettings = {
  ...connectionSettings,
  redisUrl: url({
    env: "REDIS_URL",
    schemes: ["redis", "rediss", "redis+sentinel", "redis+cluster"],
    default: "",
    meaning: "where the fleet's route is heard; without it this process goes by its own breaker",
  }),
  ...breakerSettings,
  ...publisherSettings,
  ...sharedSettings,
};

export type PublisherSettings = Values<typeof publisherConnectionSettings>;

export type ConnectedPublisher = Publisher & {
  /** Where this publisher sends now, and why. */
  routing: Pick<Routing, "router" | "breaker">;
};

/** A publisher consumes nothing; the fallback queue's consuming side stays unused. */
const NOT_CONSUMING = {
  sqsPollers: 1,
  sqsLongPollSeconds: 0,
  sqsVisibilityTimeoutSeconds: 60,
  maxInFlightMessages: 1,
};

/**
 * Connects a publisher for an upstream service. What is not given comes from the environment, by the names in
 * docs/settings.md. Starts also while Pulsar or Redis is away, after a wait of 3 s.
 *
 * @throws KeylineError `bad_settings`, naming each setting that is missing or wrong; `no_aws_region`
 */
export async function connectPublisher(
  given: Partial<PublisherSettings> = {},
  log?: Log,
): Promise<ConnectedPublisher> {
  const settings = settingsFrom(publisherConnectionSettings, given, process.env);
  const ownLog = log ?? createLog("keyline-publisher", settings.logLevel);
  const lifecycle = createLifecycle(ownLog);
  // First the one that is refused where its settings are missing: the other opens connections.
  const fallback = lifecycle.own("fallback queue", await openFallbackQueue(settings, NOT_CONSUMING, ownLog));
  // Not a reason to refuse: Pulsar takes updates. But an outage is late to learn that there is nowhere to go.
  void fallback.checkExists().catch(({ code, message }: KeylineError) => {
    ownLog.error({ code }, `updates can't fail over: ${message}`);
  });
  const primary = lifecycle.own("primary queue", await openPrimaryQueue(settings, ownLog));
  const stores = settings.redisUrl === "" ? undefined : openStores(settings);
  if (stores) lifecycle.own("Redis", stores.connection);
  const routing = lifecycle.own(
    "routing",
    startRouting({
      primary,
      canaryTopic: topicsOf(settings.pulsarNamespace).canary,
      routeStore: stores?.routeStore,
      settings,
      log: ownLog,
      now: Date.now,
    }),
  );
  const opened = openPublisher(lifecycle, {
    ...{ primary, fallback, routing, settings, log: ownLog, now: Date.now },
  });
  await readyToSend(opened, routing.router);
  return { ...opened.publisher, routing, close: lifecycle.close };
}
