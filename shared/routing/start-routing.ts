import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import type { PrimaryQueue, Topic } from "../ports/primary-queue.ts";
import type { RouteStore, SubscriptionVerdict } from "../ports/route-store.ts";
import type { ReadSubscription } from "../ports/subscription-stats.ts";
import type { breakerSettings } from "../runtime/connection-settings.ts";
import type { Log } from "../runtime/log.ts";
import type { Values } from "../runtime/settings.ts";
import { type Breaker, createBreaker } from "./breaker.ts";
import { type HealthSampler, startHealthSampler } from "./health-sampler.ts";
import { type Router, startRouter } from "./router.ts";
import { judgeSendFailures } from "./send-failures.ts";
import { startSendLatency } from "./send-latency.ts";
import { holdsOpen, type Signal, shownByTraffic } from "./signal.ts";
import { createSignalBoard } from "./signal-board.ts";
import type { SubscriptionLimits, Workers } from "./subscription-health.ts";
import { startSubscriptionWatch } from "./subscription-watch.ts";

export type Routing = {
  breaker: Breaker;
  sampler: HealthSampler;
  router: Router;
  /** The last reading of each health signal. */
  signals(): Signal[];
  /** This process's name in the votes. */
  voter: string;
  close(): Promise<void>;
};

/** Time for the first connection before canaries count. */
const START_GRACE_MS = 3_000;

/** What the process does with the subscription, for the signals that only a consumer can give. */
export type WatchedSubscription = {
  /** Undefined where no admin API is known. */
  read: ReadSubscription | undefined;
  workers(): Workers;
  limits: SubscriptionLimits;
  intervalMs: number;
};

/** Starts what decides where this process sends: its breaker, the signals that feed it, and the router. */
export function startRouting(options: {
  primary: PrimaryQueue;
  canaryTopic: Topic;
  routeStore: RouteStore | undefined;
  settings: Values<typeof breakerSettings>;
  log: Log;
  /** Names this process in the votes, and starts the names of its consumers; made up when it is not given. */
  voter?: string;
  /** Only for a process that consumes. */
  subscription?: WatchedSubscription;
  now(): number;
}): Routing {
  const { settings, log, now } = options;
  const voter = options.voter ?? createVoterName();
  const limits = {
    windowMs: settings.breakerWindowMs,
    errorPercent: settings.breakerErrorPercent,
    minCalls: settings.breakerMinCalls,
  };
  let subscriptionVerdict: SubscriptionVerdict = "good";
  const board = createSignalBoard(settings.signalBadReadings, (reason, name) => {
    // Until the breaker closes, or the vote would flicker with the readings.
    if (shownByTraffic.has(name)) subscriptionVerdict = "bad";
    breaker.trip(reason);
  });
  const signals = () => [judgeSendFailures(breaker.state(), limits), ...board.signals()];
  const sendLatency = startSendLatency(
    {
      windowMs: settings.sendLatencyWindowMs,
      minSends: settings.sendLatencyMinSends,
      floorMs: settings.sendLatencyFloorMs,
      factor: settings.sendLatencyFactor,
      baselineMs: settings.sendLatencyBaselineMs,
    },
    board.report,
  );
  const breaker = createBreaker({
    ...limits,
    minOpenMs: settings.breakerMinOpenMs,
    goodSamplesToClose: settings.breakerGoodCanaries,
    onLatency: sendLatency.record,
    mustStayOpen: (openForMs) => holdsOpen(signals(), openForMs) !== undefined,
    now,
  });
  breaker.onChange(({ state, reason, openings }) => {
    if (state === "closed") {
      board.countAnew();
      subscriptionVerdict = "good";
    }
    log.warn({ breaker: state, reason, openings }, `breaker ${state}: ${reason}`);
  });
  const sampler = startHealthSampler({
    primary: options.primary,
    topic: options.canaryTopic,
    partitions: settings.canaryPartitions,
    breaker,
    intervalMs: settings.canaryIntervalMs,
    timeoutMs: settings.canaryTimeoutMs,
    startGraceMs: START_GRACE_MS,
    report: board.report,
    onSent: sendLatency.record,
    now,
  });
  const subscription = options.subscription
    ? startSubscriptionWatch({
        ...options.subscription,
        ownPrefix: voter,
        report: board.report,
        now,
      })
    : undefined;
  const router = startRouter({
    breaker,
    routeStore: options.routeStore,
    voter,
    subscription: options.subscription?.read && (() => subscriptionVerdict),
    voteEveryMs: settings.voteIntervalMs,
    voteTtlMs: settings.voteTtlMs,
    now,
    onChange: ({ path, by, why }) =>
      log[path === "sqs" ? "warn" : "info"]({ route: path, by, why }, `route ${path} by ${by}: ${why}`),
  });
  return {
    breaker,
    sampler,
    router,
    signals,
    voter,
    async close() {
      await router.close();
      await subscription?.close();
      await sampler.close();
      sendLatency.close();
      breaker.close();
    },
  };
}

/** Unlike that of any other process, also one before it on this host. */
export function createVoterName(): string {
  return `${hostname()}-${process.pid}-${randomBytes(3).toString("hex")}`;
}
