import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import type { PrimaryQueue, Topic } from "../ports/primary-queue.ts";
import type { RouteStore } from "../ports/route-store.ts";
import type { breakerSettings } from "../runtime/connection-settings.ts";
import type { Log } from "../runtime/log.ts";
import type { Values } from "../runtime/settings.ts";
import { type Breaker, createBreaker } from "./breaker.ts";
import { type HealthSampler, startHealthSampler } from "./health-sampler.ts";
import { type Router, startRouter } from "./router.ts";

export type Routing = {
  breaker: Breaker;
  sampler: HealthSampler;
  router: Router;
  /** This process's name in the votes. */
  voter: string;
  close(): Promise<void>;
};

/** Time for the first connection before canaries count. */
const START_GRACE_MS = 3_000;

/** Starts what decides where this process sends: its breaker, the canaries that feed it, and the router. */
export function startRouting(options: {
  primary: PrimaryQueue;
  canaryTopic: Topic;
  routeStore: RouteStore | undefined;
  settings: Values<typeof breakerSettings>;
  log: Log;
  now(): number;
}): Routing {
  const { settings, log, now } = options;
  const voter = `${hostname()}-${process.pid}-${randomBytes(3).toString("hex")}`;
  const breaker = createBreaker({
    windowMs: settings.breakerWindowMs,
    errorPercent: settings.breakerErrorPercent,
    minCalls: settings.breakerMinCalls,
    minOpenMs: settings.breakerMinOpenMs,
    goodSamplesToClose: settings.breakerGoodCanaries,
    now,
  });
  breaker.onChange(({ state, reason, openings }) => {
    log.warn({ breaker: state, reason, openings }, `breaker ${state}: ${reason}`);
  });
  const sampler = startHealthSampler({
    primary: options.primary,
    topic: options.canaryTopic,
    breaker,
    intervalMs: settings.canaryIntervalMs,
    timeoutMs: settings.canaryTimeoutMs,
    startGraceMs: START_GRACE_MS,
    now,
  });
  const router = startRouter({
    breaker,
    routeStore: options.routeStore,
    voter,
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
    voter,
    async close() {
      await router.close();
      await sampler.close();
      breaker.close();
    },
  };
}
