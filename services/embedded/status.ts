import type { AuditLine, RouteStore } from "../../shared/ports/route-store.ts";
import type { Path } from "../../shared/ports/update-queue.ts";
import type { Publisher } from "../../shared/publish/publisher.ts";
import type { BreakerState } from "../../shared/routing/breaker.ts";
import { maxOpenings, openingWindowMs } from "../../shared/routing/fleet-decision.ts";
import type { Route } from "../../shared/routing/router.ts";
import type { Routing } from "../../shared/routing/start-routing.ts";
import type { UpdateFlow } from "../audience-update/update-flow.ts";
import { createFailoverWatch, type Failover, type FailoverTotals } from "./failover.ts";
import type { ReplayState } from "./replay.ts";
import type { SettledCounts } from "./settled-counts.ts";
import { createTraffic, type TrafficSample } from "./traffic.ts";
import type { WatchedStore, WrittenProfile } from "./watch-writes.ts";

/** What the page and the terminal show of the running service. */
export type Status = {
  nowMs: number;
  route: Route & { sinceMs: number; overrideEndsAtMs: number | undefined };
  breaker: BreakerState & { goodSamplesToClose: number; mayCloseAtMs: number | undefined };
  canary: ReturnType<Routing["sampler"]["lastCanary"]>;
  replay: ReplayState & { ratePerSecond: number };
  publisher: ReturnType<Publisher["counts"]>;
  counted: Record<Path, number>;
  /** Copies that arrived again and were dropped, and updates that can never apply. */
  repeats: number;
  parked: number;
  /** As `WatchedStore.repeatedIds`: published, and not counted since another update had the id. */
  repeatedIds: number;
  /** Given to the publisher and not settled yet. */
  onTheWay: number;
  inFlight: ReturnType<UpdateFlow["counts"]>;
  rate: Record<Path, number>;
  /** Of live updates. */
  lag: { p50Ms: number; p99Ms: number } | undefined;
  history: readonly TrafficSample[];
  customers: WrittenProfile[];
  failover: Failover | undefined;
  /** Newest first. */
  audit: AuditLine[];
};

export type Observer = {
  status(): Promise<Status>;
  /** As in the status. */
  onTheWay(): number;
  broken(atMs: number): void;
  healed(atMs: number): void;
  close(): void;
};

export type ObserverOptions = {
  routing: Routing;
  routeStore: RouteStore;
  flow: UpdateFlow;
  watched: WatchedStore;
  publisher: Publisher;
  replay(): ReplayState;
  ratePerSecond: number;
  breaker: { minOpenMs: number; goodSamplesToClose: number };
  counted(): Record<Path, number>;
  /** As `LiveLags.take`. */
  takeLags(): number[];
  settledCounts(): Promise<SettledCounts>;
  now(): number;
};

const SAMPLE_EVERY_MS = 500;
const MAX_SAMPLES = 240;
const SAMPLES_PER_RATE = 4;
const MAX_AUDIT_LINES = 20;

/** Looks at the running service twice a second, and changes nothing in it. */
export function startObserver(options: ObserverOptions): Observer {
  const { publisher, routing, watched, now } = options;
  const { breaker, router, sampler } = routing;
  const { counted, takeLags } = options;
  const bounds = { maxSamples: MAX_SAMPLES, samplesPerRate: SAMPLES_PER_RATE };
  const traffic = createTraffic({ counted, takeLags, ...bounds, now });
  const failovers = createFailoverWatch();
  const closing = watchClosing(options);
  let settled: SettledCounts = { repeats: 0, parked: 0 };

  function totals(): FailoverTotals {
    const { published } = publisher.counts();
    return { rescued: options.replay().rescued, overSqs: published.sqs, repeats: settled.repeats };
  }

  function observe(): void {
    const { path } = router.route();
    failovers.observe({ breaker: breaker.state(), path, pathSinceMs: router.sinceMs(), totals: totals() });
  }

  async function sample(): Promise<void> {
    traffic.sample();
    settled = await options.settledCounts();
    observe();
  }

  function route(): Status["route"] {
    const current = router.route();
    const override = current.by === "override" ? router.fleet().state?.override : undefined;
    return { ...current, sinceMs: router.sinceMs(), overrideEndsAtMs: override?.expiresAtMs };
  }

  /** Of all that was published here, by the replay and over the gateway; each is settled once, whatever copies it has. */
  function onTheWay(): number {
    const { published, underWay } = publisher.counts();
    const { pulsar, sqs } = counted();
    const settledOnce = pulsar + sqs + watched.repeatedIds() + settled.parked;
    return Math.max(0, published.pulsar + published.sqs + underWay - settledOnce);
  }

  const timer = setInterval(() => void sample(), SAMPLE_EVERY_MS);
  return {
    onTheWay,
    broken: (atMs) => failovers.broken(atMs, totals()),
    healed: failovers.healed,
    async status() {
      const audit = await options.routeStore.audit(MAX_AUDIT_LINES);
      observe();
      const replay = options.replay();
      return {
        nowMs: now(),
        route: route(),
        breaker: closing(breaker.state()),
        canary: sampler.lastCanary(),
        replay: { ...replay, ratePerSecond: options.ratePerSecond },
        publisher: publisher.counts(),
        counted: counted(),
        ...settled,
        repeatedIds: watched.repeatedIds(),
        onTheWay: onTheWay(),
        inFlight: options.flow.counts(),
        rate: traffic.rate(),
        lag: traffic.lag(),
        history: traffic.history(),
        customers: watched.latest(),
        failover: failovers.latest(),
        audit,
      };
    },
    close: () => clearInterval(timer),
  };
}

/** Adds to the breaker's state when it may close at the earliest, if its canaries are good. */
function watchClosing(options: ObserverOptions): (state: BreakerState) => Status["breaker"] {
  const { minOpenMs, goodSamplesToClose } = options.breaker;
  const openedAtMs: number[] = [];
  options.routing.breaker.onChange(({ state }) => {
    if (state === "open") openedAtMs.push(options.now());
    if (openedAtMs.length > maxOpenings) openedAtMs.shift();
  });
  return (state) => {
    const afterDwell = state.sinceMs + minOpenMs;
    const afterOpenings = openedAtMs.length < maxOpenings ? 0 : openedAtMs[0]! + openingWindowMs;
    const mayCloseAtMs = state.state === "open" ? Math.max(afterDwell, afterOpenings) : undefined;
    return { ...state, goodSamplesToClose, mayCloseAtMs };
  };
}
