import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createMemoryBroker } from "../../shared/adapters/memory/memory-broker.ts";
import { createMemoryRouteStore } from "../../shared/adapters/memory/memory-route-store.ts";
import type { RouteStore } from "../../shared/ports/route-store.ts";
import type { SubscriptionStats } from "../../shared/ports/subscription-stats.ts";
import { type Routing, startRouting } from "../../shared/routing/start-routing.ts";
import { breakerSettings } from "../../shared/runtime/connection-settings.ts";
import { createLog } from "../../shared/runtime/log.ts";
import { readSettings } from "../../shared/runtime/settings.ts";

const canaryTopic = "persistent://public/keyline-health/canaries";
const settings = readSettings(breakerSettings, {});
const pause = (ms: number) => new Promise<void>((resume) => setTimeout(resume, ms));
let broker: ReturnType<typeof createMemoryBroker>;
let routing: Routing;
let openingsMs: number[];

beforeEach(() => void vi.useFakeTimers());
afterEach(async () => {
  broker.heal();
  const closed = Promise.all([routing.close(), broker.close()]);
  await vi.advanceTimersByTimeAsync(5_000);
  await closed;
  vi.useRealTimers();
});

async function start(
  subscription?: Parameters<typeof startRouting>[0]["subscription"],
  routeStore?: RouteStore,
): Promise<void> {
  broker = createMemoryBroker();
  openingsMs = [];
  routing = startRouting({
    primary: broker,
    canaryTopic,
    routeStore,
    settings,
    log: createLog("test", "fatal"),
    voter: "here",
    ...(subscription ? { subscription } : {}),
    now: Date.now,
  });
  routing.breaker.onChange(({ state }) => state === "open" && openingsMs.push(Date.now()));
  await vi.advanceTimersByTimeAsync(2_000);
}

const advance = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const signal = (name: string, partition?: number) =>
  routing.signals().find((each) => each.name === name && each.partition === partition);
const state = () => routing.breaker.state();

describe("the canaries", () => {
  test("of all partitions are good, with their latency", async () => {
    await start();
    for (let partition = 0; partition < 4; partition += 1)
      expect(signal("canary", partition)).toMatchObject({ value: 0, limit: 800, verdict: "good" });
    expect(signal("send_failures")).toMatchObject({ value: 0, verdict: "good" });
    expect(state()).toMatchObject({ state: "closed", failures: 0 });
  });

  test("of one dead partition open the breaker within 3 s, by its number, and closing waits for it", async () => {
    await start();
    broker.break({ topic: `${canaryTopic}-partition-2` });
    await advance(3_000);
    expect(signal("canary", 2)).toMatchObject({ value: null, verdict: "bad" });
    expect(signal("canary", 1)).toMatchObject({ verdict: "good" });
    expect(state()).toMatchObject({
      state: "open",
      reason: expect.stringContaining("canary of partition 2: no value, limit 800 ms"),
    });
    await advance(600_000);
    expect(state()).toMatchObject({ state: "open", openings: 1 });
    broker.heal();
    await advance(10_000);
    expect(state()).toMatchObject({ state: "closed", openings: 1 });
  });

  test("that are lost once or twice do not open it", async () => {
    await start();
    for (let n = 0; n < 20; n += 1) {
      broker.break({ topic: `${canaryTopic}-partition-${n % 4}` });
      await advance(settings.canaryIntervalMs);
      broker.heal();
      await advance(2_000);
    }
    expect(openingsMs).toEqual([]);
  });

  test("that come back every other time do not close it", async () => {
    await start();
    broker.break();
    await advance(5_000);
    broker.heal();
    for (let n = 0; n < 60; n += 1) {
      broker.break({ topic: `${canaryTopic}-partition-1` });
      await advance(settings.canaryIntervalMs);
      broker.heal();
      await advance(settings.canaryIntervalMs);
    }
    expect(state()).toMatchObject({ state: "open", openings: 1 });
  });

  test("of a partition that comes and goes open it at most twice in any 60 s", async () => {
    await start();
    for (let n = 0; n < 100; n += 1) {
      broker.break({ topic: `${canaryTopic}-partition-0` });
      await advance(4_000);
      broker.heal();
      await advance(9_000);
    }
    expect(openingsMs.length).toBeGreaterThan(5);
    for (const at of openingsMs)
      expect(openingsMs.filter((other) => other >= at && other < at + 60_000).length).toBeLessThanOrEqual(2);
  });
});

describe("the latency of sends", () => {
  async function sendFor(durationMs: number, latencyMs: number): Promise<void> {
    const endMs = Date.now() + durationMs;
    while (Date.now() < endMs) {
      // While it is open the breaker refuses.
      void routing.breaker.guard(() => pause(latencyMs)).catch(() => {});
      await advance(20);
    }
  }

  test("is unknown without a baseline, then good, and opens the breaker when it stays far above", async () => {
    await start();
    expect(signal("send_latency_p99")).toMatchObject({ verdict: "unknown" });
    await sendFor(20_000, 100);
    expect(signal("send_latency_p99")).toMatchObject({ verdict: "good", limit: expect.any(Number) });
    const { limit } = signal("send_latency_p99")!;
    expect(limit).toBeGreaterThanOrEqual(400);
    expect(limit).toBeLessThanOrEqual(450);
    await sendFor(6_000, 600);
    expect(openingsMs).toEqual([]);
    await sendFor(15_000, 600);
    expect(openingsMs).toHaveLength(1);
    expect(state().reason).toMatch(/^send_latency_p99: \d+ ms, limit \d+ ms: p99 of \d+ sends/);
  });

  test("is known to an idle process by its canaries", async () => {
    await start();
    await advance(4 * settings.sendLatencyWindowMs);
    expect(signal("send_latency_p99")).toMatchObject({
      value: 0,
      limit: 250,
      verdict: "good",
      why: "p99 of 40 sends; usual is 0.0 ms",
    });
  });

  test("under the floor is good whatever is usual", async () => {
    await start();
    await sendFor(20_000, 1);
    await sendFor(30_000, 200);
    expect(signal("send_latency_p99")).toMatchObject({ verdict: "good" });
    expect(openingsMs).toEqual([]);
  });
});

describe("the subscription", () => {
  const idle: SubscriptionStats = {
    backlog: 0,
    oldestPublishMs: undefined,
    delivered: 3,
    consumers: [{ name: "here-0", permits: 10, unacknowledged: 0 }],
  };
  let stats: SubscriptionStats | Error;
  let workers: { inHand: number; received: number };
  const stuck = () => ({ ...idle, backlog: 9, oldestPublishMs: Date.now() });
  const watched = {
    read: async () => {
      if (stats instanceof Error) throw stats;
      return stats;
    },
    workers: () => workers,
    limits: { maxUnacknowledgedAgeMs: 10_000, stallMs: 5_000 },
    intervalMs: 3_000,
  };

  beforeEach(() => {
    stats = idle;
    workers = { inHand: 0, received: 3 };
  });

  test("that is empty is good for ever", async () => {
    await start(watched);
    await advance(120_000);
    for (const name of ["oldest_unacknowledged", "subscription_stalled"])
      expect(signal(name)).toMatchObject({ value: 0, verdict: "good" });
    expect(openingsMs).toEqual([]);
  });

  test("that delivers nothing opens the breaker, which tries again once a minute", async () => {
    await start(watched);
    stats = stuck();
    await advance(20_000);
    expect(state()).toMatchObject({
      state: "open",
      reason: expect.stringMatching(/^(subscription_stalled|oldest_unacknowledged): \d+ ms, limit \d+ ms/),
    });
    const closingsMs: number[] = [];
    routing.breaker.onChange(({ state }) => state === "closed" && closingsMs.push(Date.now()));
    await advance(600_000);
    expect(openingsMs.length).toBeGreaterThan(5);
    expect(openingsMs.length).toBeLessThanOrEqual(10);
    // Each try lasts for as many readings as it took to open.
    for (const closedMs of closingsMs) {
      const next = openingsMs.find((openedMs) => openedMs > closedMs);
      if (next !== undefined) expect(next - closedMs).toBeGreaterThan(2 * watched.intervalMs);
    }
    stats = idle;
    await advance(70_000);
    expect(state().state).toBe("closed");
    expect(signal("subscription_stalled")).toMatchObject({ verdict: "good" });
  });

  test("that delivers nothing moves a fleet of mostly publishers, and lets it back", async () => {
    const routeStore = createMemoryRouteStore();
    await start(watched, routeStore);
    const pass = async (ms: number) => {
      for (let passedMs = 0; passedMs < ms; passedMs += 500) {
        await advance(500);
        for (const voter of ["p1", "p2", "p3"])
          await routeStore.vote({ voter, route: "pulsar", reason: "canaries are back" }, 3_000);
        await routing.router.refresh();
      }
    };
    const own = async () => (await routeStore.read()).votes.find(({ voter }) => voter === "here");
    await pass(5_000);
    expect(await own()).toMatchObject({ route: "pulsar", subscription: "good" });
    stats = stuck();
    await pass(20_000);
    expect(await own()).toMatchObject({ route: "sqs", subscription: "bad" });
    const why = "1 of 4 processes vote for sqs, 1 of 1 consumers for the subscription";
    expect(routing.router.route()).toEqual({ path: "sqs", by: "fleet", why });
    stats = idle;
    await pass(60_000);
    expect(await own()).toMatchObject({ route: "pulsar", subscription: "good" });
    expect(routing.router.route()).toMatchObject({ path: "pulsar", by: "fleet" });
  });

  test("that is bad for ever lets the fleet try again once a minute", async () => {
    const routeStore = createMemoryRouteStore();
    await start(watched, routeStore);
    stats = stuck();
    let tries = 0;
    routing.router.onChange(({ path }) => {
      if (path === "pulsar") tries += 1;
    });
    for (let passedMs = 0; passedMs < 300_000; passedMs += 500) {
      await advance(500);
      for (const voter of ["p1", "p2"])
        await routeStore.vote({ voter, route: "pulsar", reason: "canaries are back" }, 3_000);
      await routing.router.refresh();
    }
    expect(tries).toBeGreaterThanOrEqual(3);
    expect(tries).toBeLessThanOrEqual(5);
  });

  test("of which it can't ask is not voted on", async () => {
    const routeStore = createMemoryRouteStore();
    await start({ ...watched, read: undefined }, routeStore);
    await routing.router.refresh();
    expect((await routeStore.read()).votes.map(({ subscription }) => subscription)).toEqual([undefined]);
  });

  test("whose messages the workers hold, as while Redis is away, is good", async () => {
    await start(watched);
    stats = stuck();
    workers = { inHand: 9, received: 12 };
    await advance(300_000);
    expect(openingsMs).toEqual([]);
    expect(signal("oldest_unacknowledged")).toMatchObject({
      verdict: "good",
      why: "the workers have 9 in hand",
    });
  });

  test("of which the broker says nothing is unknown, never bad", async () => {
    await start(watched);
    stats = stuck();
    await advance(9_000);
    stats = new Error("no answer");
    await advance(300_000);
    expect(openingsMs).toEqual([]);
    for (const name of ["oldest_unacknowledged", "subscription_stalled"])
      expect(signal(name)).toMatchObject({ value: null, verdict: "unknown", why: "no answer" });
  });

  test("is unknown without an admin API, and not listed by a process that consumes nothing", async () => {
    await start({ ...watched, read: undefined });
    await advance(10_000);
    expect(signal("subscription_stalled")).toMatchObject({
      verdict: "unknown",
      why: "PULSAR_ADMIN_URL is not set",
    });
    await routing.close();
    await start();
    expect(signal("subscription_stalled")).toBeUndefined();
  });
});
