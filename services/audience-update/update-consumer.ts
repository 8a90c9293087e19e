/**
 * The service without its HTTP server: routing, dead letters, the flow of updates, membership changes and ticks, around
 * ports that are open already. The simulation runs this same code on simulated ones.
 */
import type { DocumentStore } from "../../shared/ports/document-store.ts";
import type { DueStore } from "../../shared/ports/due-store.ts";
import type { MemberStore } from "../../shared/ports/member-store.ts";
import type { PrimaryQueue } from "../../shared/ports/primary-queue.ts";
import type { ProfileStore } from "../../shared/ports/profile-store.ts";
import type { RouteStore } from "../../shared/ports/route-store.ts";
import type { ReadSubscription } from "../../shared/ports/subscription-stats.ts";
import type { Path, UpdateQueue } from "../../shared/ports/update-queue.ts";
import { openPublisher } from "../../shared/publish/open-publisher.ts";
import { readyToSend } from "../../shared/publish/ready-to-send.ts";
import { createVoterName, type Routing, startRouting } from "../../shared/routing/start-routing.ts";
import type { connectionSettings } from "../../shared/runtime/connection-settings.ts";
import { createLifecycle } from "../../shared/runtime/lifecycle.ts";
import { type Log, logRepeated } from "../../shared/runtime/log.ts";
import type { Values } from "../../shared/runtime/settings.ts";
import { topicsOf } from "../../shared/runtime/topics.ts";
import { type Announcer, openAnnouncer } from "./announcer.ts";
import { createDeadLetterOffice } from "./dead-letter.ts";
import { createLedgerKeeper } from "./ledger-keeper.ts";
import { openConsumers } from "./open-consumers.ts";
import { openWatches, type Watches } from "./open-watches.ts";
import { openCompletion } from "./queue-completion.ts";
import { restMs } from "./rest.ts";
import type { audienceUpdateSettings } from "./settings.ts";
import { openSweeper } from "./sweeper.ts";
import { createEffectRunner } from "./turn-effects.ts";
import { createUpdateFlow, type UpdateFlow } from "./update-flow.ts";
import type { UpdateMetrics } from "./update-metrics.ts";
import type { waitingQueueSettings } from "./waiting-queues.ts";

/** What the consumer goes by: the service's settings but for connections, their tuning, and the admin endpoint. */
export type ConsumerSettings = Omit<
  Values<typeof audienceUpdateSettings>,
  | keyof Omit<typeof connectionSettings, "pulsarNamespace" | "pulsarSendTimeoutMs">
  | "pulsarPartitions"
  | keyof typeof waitingQueueSettings
  | "sqsPollers"
  | "sqsLongPollSeconds"
  | "sqsVisibilityTimeoutSeconds"
  | "adminHost"
  | "adminPort"
  | "adminToken"
  | "readToken"
  | "logLevel"
>;

export type UpdateConsumerOptions = {
  primary: PrimaryQueue;
  fallback: UpdateQueue;
  /** Where what came over the fallback queue waits for Pulsar. */
  ledgerQueue: UpdateQueue;
  /** Where membership changes wait for Pulsar. */
  changesQueue: UpdateQueue;
  store: ProfileStore;
  /** What the tenants have defined. */
  definitionStore: DocumentStore;
  /** What gateways know of the tenants. */
  tenantStore: DocumentStore;
  /** Settings that operators change while consumers run. */
  settingsStore: DocumentStore;
  /** The moments at which time alone changes something. */
  dueStore: DueStore;
  /** Who the members of an audience are, for those who list them. */
  memberStore: MemberStore;
  routeStore: RouteStore;
  /** Absent where no admin API is known: two of the health signals are unknown then. */
  readSubscription?: ReadSubscription | undefined;
  settings: ConsumerSettings;
  metrics: UpdateMetrics;
  log: Log;
  /** Milliseconds since the epoch. */
  now(): number;
};

export type UpdateConsumer = Watches & {
  routing: Routing;
  flow: UpdateFlow;
  announcer: Announcer;
  /** Whether messages can come over each path now. */
  connected(): Record<Path, boolean>;
  /** Of several SQS queues, the addresses of those from which no message can come now. */
  unreachableQueues(): string[];
  /**
   * Stops asking for messages, finishes and acknowledges what is in hand, leaves the subscription. What is
   * not finished within the setting's time stays unacknowledged and is delivered to another consumer.
   */
  close(): Promise<void>;
};

const DEAD_LETTERS_UNDER_WAY = 1_000;

/** Connects to both queues. `flow.start` begins to receive. */
export function createUpdateConsumer(options: UpdateConsumerOptions): UpdateConsumer {
  const { primary, fallback, ledgerQueue, changesQueue, store, routeStore } = options;
  const { dueStore, memberStore, settings, metrics, log, now } = options;
  const topics = topicsOf(settings.pulsarNamespace);
  const lifecycle = createLifecycle(log);
  const voter = createVoterName();
  const routing = lifecycle.own(
    "routing",
    startRouting({
      primary,
      canaryTopic: topics.canary,
      routeStore,
      settings,
      log,
      now,
      voter,
      subscription: {
        read: options.readSubscription,
        workers: () => flow.fromPulsar(),
        limits: {
          maxUnacknowledgedAgeMs: settings.maxUnacknowledgedAgeMs,
          stallMs: settings.subscriptionStallMs,
        },
        intervalMs: settings.brokerStatsIntervalMs,
      },
    }),
  );
  const deadLetterProducer = lifecycle.own(
    "dead-letter producer",
    primary.producer({
      topic: topics.deadLetter,
      sendTimeoutMs: settings.pulsarSendTimeoutMs,
      maxPending: DEAD_LETTERS_UNDER_WAY,
    }),
  );
  const receiving = createLifecycle(log);
  const { primaryConsumer, bulkConsumer } = openConsumers(receiving, { primary, settings, voter });
  const fallbackConsumer = lifecycle.own("fallback consumer", fallback.consumer());
  const deadLetters = createDeadLetterOffice({
    producer: deadLetterProducer,
    now,
    restMs,
    onParked(letter) {
      metrics.parked(letter);
      const { reason, path, value, message, via, key } = letter;
      log.warn({ reason, path, value, via, key }, `parked in the dead-letter topic: ${message}`);
    },
    onError: logRepeated(log, "error", "could not write a dead letter, it is tried again"),
  });
  const keeper = createLedgerKeeper({
    producer: lifecycle.own("ledger queue producer", ledgerQueue.producer()),
    restMs,
    onKept: metrics.kept,
    onError: logRepeated(log, "error", "could not keep a copy for the ledger, it is tried again"),
  });
  const watches = openWatches(lifecycle, {
    ...options,
    consumer: voter,
    onTuned: (values) => flow.tune(values),
  });
  const parts = { primary, routing, settings, metrics, log };
  const perSecond = () => watches.liveSettings.values().ledgerCompletionsPerSecond;
  const completing = { ...parts, perSecond };
  const completions = [
    openCompletion(lifecycle, { ...completing, name: "ledger", queue: ledgerQueue, topic: topics.updates }),
    openCompletion(lifecycle, { ...completing, name: "changes", queue: changesQueue, topic: topics.changes }),
  ];
  const announcer = openAnnouncer(lifecycle, { ...parts, changesQueue });
  const { publisher, connected } = openPublisher(lifecycle, {
    ...parts,
    fallback,
    now,
    liveOnly: true,
  });
  const sweeper = openSweeper({
    ...{ dueStore, publisher, settings, metrics, log, now },
    ready: readyToSend({ connected }, routing.router),
  });
  const flow = createUpdateFlow({
    primary: primaryConsumer,
    bulk: bulkConsumer,
    fallback: fallbackConsumer,
    store,
    deadLetters,
    keeper,
    ...watches,
    effects: createEffectRunner({
      ...{ dueStore, memberStore, announcer, restMs },
      onError: logRepeated(log, "error", "what follows a save failed and is tried again"),
    }),
    limits: flowLimits(settings),
    metrics,
    now,
    onStoreFailure: logRepeated(log, "error", "a save failed and is tried again"),
  });
  return {
    routing,
    flow,
    announcer,
    ...watches,
    connected: () => ({ pulsar: primaryConsumer.connected(), sqs: fallbackConsumer.connected() }),
    unreachableQueues: () => fallbackConsumer.unreachable?.() ?? [],
    async close() {
      const drained = flow.drain(settings.shutdownTimeoutMs);
      // First of all: until it leaves, the broker keeps its users' next messages for it.
      const left = drained.then(receiving.close);
      // The flow needs it to its end.
      const announced = drained.then(announcer.close);
      const completed = completions.map((completion) => completion.close());
      const [clean] = await Promise.all([drained, left, announced, sweeper.close(), ...completed]);
      if (clean) log.info("drained: nothing is left in hand");
      else log.warn(flow.counts(), "not drained in time; what is in hand is delivered to another consumer");
      await lifecycle.close();
    },
  };
}

function flowLimits(settings: ConsumerSettings) {
  return {
    ...settings,
    horizonMs: settings.horizonDays * 86_400_000,
    idMemoryMs: settings.idMemoryHours * 3_600_000,
    maxIds: settings.maxRememberedIds,
  };
}
