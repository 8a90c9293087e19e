/** The URL picks the adapter. */
import { setTimeout as sleep } from "node:timers/promises";
import type { DocumentStore } from "../ports/document-store.ts";
import type { DueStore } from "../ports/due-store.ts";
import type { LinkStore } from "../ports/link-store.ts";
import type { MemberStore } from "../ports/member-store.ts";
import type { PrimaryQueue } from "../ports/primary-queue.ts";
import type { ProfileStore } from "../ports/profile-store.ts";
import type { RateStore } from "../ports/rate-store.ts";
import type { RouteStore } from "../ports/route-store.ts";
import type { ReadSubscription } from "../ports/subscription-stats.ts";
import type { connectionSettings } from "../runtime/connection-settings.ts";
import { KeylineError, toError } from "../runtime/errors.ts";
import type { Lifecycle } from "../runtime/lifecycle.ts";
import { errorFields, type Log, logRepeated } from "../runtime/log.ts";
import type { Values } from "../runtime/settings.ts";
import { healthNamespaceOf, topicsOf } from "../runtime/topics.ts";
import { authorization } from "./pulsar-admin/pulsar-admin.ts";
import { setUpTopics } from "./pulsar-admin/set-up.ts";
import { createSubscriptionReader } from "./pulsar-admin/subscription-stats.ts";
import { createPulsarNative } from "./pulsar-native/pulsar-native.ts";
import { createPulsarWebSocket } from "./pulsar-websocket/pulsar-websocket.ts";
import { openRedis, type RedisConnection } from "./redis/redis-connection.ts";
import { createRedisDocumentStore } from "./redis/redis-document-store.ts";
import { createRedisDueStore } from "./redis/redis-due-store.ts";
import { createRedisLinkStore } from "./redis/redis-link-store.ts";
import { createRedisMemberStore } from "./redis/redis-member-store.ts";
import { createRedisProfileStore } from "./redis/redis-profile-store.ts";
import { createRedisRateStore } from "./redis/redis-rate-store.ts";
import { createRedisRouteStore } from "./redis/redis-route-store.ts";
import { createSqs, type SqsOptions, type SqsQueue } from "./sqs/sqs.ts";

type Connection = Values<typeof connectionSettings>;

type PulsarConnection = Pick<Connection, "pulsarUrl" | "pulsarToken" | "pulsarCompression">;

/** As `openPulsar`, with its connection problems in the log. */
export function openPrimaryQueue(settings: PulsarConnection, log: Log): Promise<PrimaryQueue> {
  return openPulsar(settings, logRepeated(log, "warn", "Pulsar"));
}

/** Pulsar by the client that the URL's scheme names. */
export async function openPulsar(
  { pulsarUrl, pulsarToken, pulsarCompression }: PulsarConnection,
  onConnectionProblem: (problem: KeylineError) => void,
): Promise<PrimaryQueue> {
  const config = {
    url: pulsarUrl,
    token: pulsarToken === "" ? undefined : pulsarToken,
    compression: pulsarCompression,
    onConnectionProblem,
  };
  return /^wss?:/.test(pulsarUrl) ? createPulsarWebSocket(config) : createPulsarNative(config);
}

type SqsConnection = Pick<Connection, "sqsQueueUrl" | "sqsSendTimeoutMs">;
type SqsConsuming = {
  sqsPollers: number;
  sqsLongPollSeconds: number;
  sqsVisibilityTimeoutSeconds: number;
  maxInFlightMessages: number;
};

/**
 * SQS, by the AWS SDK's own region and credentials. Without credentials it opens all the same, because they may
 * come late and Pulsar needs none, and says so in the log.
 * @throws KeylineError `no_aws_region`
 */
export async function openFallbackQueue(
  settings: SqsConnection,
  consuming: SqsConsuming,
  log: Log,
  { packed = false }: Pick<SqsOptions, "packed"> = {},
): Promise<SqsQueue> {
  const queue = createSqs({
    packed,
    queueUrl: settings.sqsQueueUrl,
    sendTimeoutMs: settings.sqsSendTimeoutMs,
    pollers: consuming.sqsPollers,
    longPollSeconds: consuming.sqsLongPollSeconds,
    visibilityTimeoutSeconds: consuming.sqsVisibilityTimeoutSeconds,
    maxPending: MAX_PENDING_SENDS,
    maxPrefetched: Math.min(consuming.maxInFlightMessages, MAX_PREFETCHED),
    maxUnacknowledged: consuming.maxInFlightMessages,
    onError: logRepeated(log, "warn", "SQS"),
  });
  await queue.checkIdentity().catch((thrown: unknown) => {
    if (!(thrown instanceof KeylineError) || thrown.code !== "no_aws_credentials") throw thrown;
    log.error({ code: thrown.code }, `${thrown.message}; until then there is no fallback`);
  });
  return queue;
}

/** The updates queue, and those that hold for Pulsar what goes to its topics `updates` and `changes`. */
type ServiceQueue = "fallback" | "ledgerQueue" | "changesQueue";

/**
 * Three queues as `openFallbackQueue`, all at once: where SQS does not answer, the look at whether a queue is there
 * takes `SQS_SEND_TIMEOUT_MS`. What was opened is the lifecycle's, also when another one is refused.
 * @throws KeylineError `no_aws_region`, and `sqs_queue_missing` where SQS says so
 */
export async function openExistingQueues(
  queues: Record<ServiceQueue, SqsConnection & SqsConsuming>,
  lifecycle: Lifecycle,
  log: Log,
): Promise<Record<ServiceQueue, SqsQueue>> {
  const open = (settings: SqsConnection & SqsConsuming, how?: Pick<SqsOptions, "packed">) =>
    openFallbackQueue(settings, settings, log, how);
  const fallback = lifecycle.own("fallback queue", await open(queues.fallback));
  // Its copies have no order to keep: stamps order the updates of the ledger.
  const ledgerQueue = lifecycle.own("ledger queue", await open(queues.ledgerQueue, { packed: true }));
  const changesQueue = lifecycle.own("changes queue", await open(queues.changesQueue));
  await Promise.all([fallback.checkExists(), ledgerQueue.checkExists(), changesQueue.checkExists()]);
  return { fallback, ledgerQueue, changesQueue };
}

const MAX_PENDING_SENDS = 20_000;
const MAX_PREFETCHED = 1_000;

export type Stores = {
  store: ProfileStore;
  routeStore: RouteStore;
  definitionStore: DocumentStore;
  /** Each tenant's settings. */
  tenantStore: DocumentStore;
  /** Settings of consumers that operators change while these run. */
  settingsStore: DocumentStore;
  dueStore: DueStore;
  memberStore: MemberStore;
};

/** What a gateway keeps. */
export type GatewayStores = Pick<Stores, "tenantStore"> & {
  /** Each tenant's schema. */
  schemaStore: DocumentStore;
  rateStore: RateStore;
  linkStore: LinkStore;
};

/** All stores on one connection; close the connection last. */
export function openStores(
  settings: Pick<Connection, "redisUrl" | "redisKeyPrefix" | "redisCommandTimeoutMs">,
): Stores & GatewayStores & { connection: RedisConnection } {
  const options = { keyPrefix: settings.redisKeyPrefix, commandTimeoutMs: settings.redisCommandTimeoutMs };
  const connection = openRedis(settings.redisUrl, { stallTimeoutMs: settings.redisCommandTimeoutMs });
  return {
    connection,
    store: createRedisProfileStore(connection, options),
    routeStore: createRedisRouteStore(connection, options),
    definitionStore: createRedisDocumentStore(connection, "definitions", options),
    settingsStore: createRedisDocumentStore(connection, "settings", options),
    tenantStore: createRedisDocumentStore(connection, "tenants", options),
    schemaStore: createRedisDocumentStore(connection, "schemas", options),
    dueStore: createRedisDueStore(connection, options),
    memberStore: createRedisMemberStore(connection, options),
    rateStore: createRedisRateStore(connection, options),
    linkStore: createRedisLinkStore(connection, options),
  };
}

/** The figures of the consumer's subscription by the admin API; undefined when no admin URL is given. */
export function openSubscriptionReader(
  settings: Pick<
    Connection & { pulsarSubscription: string },
    "pulsarAdminUrl" | "pulsarNamespace" | "pulsarToken" | "pulsarSubscription"
  >,
): ReadSubscription | undefined {
  if (settings.pulsarAdminUrl === "") return undefined;
  return createSubscriptionReader(settings.pulsarAdminUrl, {
    topic: topicsOf(settings.pulsarNamespace).updates,
    subscription: settings.pulsarSubscription,
    timeoutMs: STATS_TIMEOUT_MS,
    headers: authorization(settings.pulsarToken),
  });
}

const STATS_TIMEOUT_MS = 2_000;
const SET_UP_RETRY_MS = 2_000;

/**
 * Sets up namespaces, topics and retention in the background, when an admin URL is given, and tries until it
 * has: the service must start during an outage too.
 */
export function setUpPulsar(
  settings: Pick<Connection, "pulsarAdminUrl" | "pulsarNamespace" | "pulsarToken"> & {
    pulsarPartitions: number;
    canaryPartitions: number;
    pulsarSubscription: string;
  },
  log: Log,
): { done: Promise<void>; close(): Promise<void> } {
  const stopping = new AbortController();
  const { signal } = stopping;
  async function run(): Promise<void> {
    if (settings.pulsarAdminUrl === "") return;
    while (!signal.aborted) {
      try {
        await setUpTopics(settings.pulsarAdminUrl, {
          namespace: settings.pulsarNamespace,
          healthNamespace: healthNamespaceOf(settings.pulsarNamespace),
          partitions: settings.pulsarPartitions,
          canaryPartitions: settings.canaryPartitions,
          subscription: settings.pulsarSubscription,
          headers: authorization(settings.pulsarToken),
        });
        log.info({ namespace: settings.pulsarNamespace }, "Pulsar's topics are set up");
        return;
      } catch (error) {
        log.warn(errorFields(error), `could not set up Pulsar yet: ${toError(error).message}`);
        await sleep(SET_UP_RETRY_MS, undefined, { signal }).catch(() => {});
      }
    }
  }
  const done = run();
  return {
    done,
    async close() {
      stopping.abort();
      await done;
    },
  };
}
