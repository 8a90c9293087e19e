import { hostname } from "node:os";
import { pino } from "pino";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createMemoryBroker } from "../../shared/adapters/memory/memory-broker.ts";
import { createMemoryRouteStore } from "../../shared/adapters/memory/memory-route-store.ts";
import { createVoterName, type Routing, startRouting } from "../../shared/routing/start-routing.ts";
import { breakerSettings } from "../../shared/runtime/connection-settings.ts";
import { readSettings } from "../../shared/runtime/settings.ts";

const advance = (ms: number) => vi.advanceTimersByTimeAsync(ms);
/** Votes are cast by the real clock otherwise. */
async function advanceVoting(ms: number): Promise<void> {
  for (let passedMs = 0; passedMs < ms; passedMs += 500) {
    await advance(500);
    await routing.router.refresh();
  }
}

let broker: ReturnType<typeof createMemoryBroker>;
let routeStore: ReturnType<typeof createMemoryRouteStore>;
let lines: Record<string, unknown>[];
let routing: Routing;

beforeEach(() => {
  vi.useFakeTimers();
  broker = createMemoryBroker();
  routeStore = createMemoryRouteStore();
  lines = [];
  routing = startRouting({
    primary: broker,
    canaryTopic: "persistent://public/keyline-health/canaries",
    routeStore,
    settings: readSettings(breakerSettings, {}),
    log: pino({ base: null, timestamp: false }, { write: (line: string) => lines.push(JSON.parse(line)) }),
    now: Date.now,
  });
});
afterEach(async () => {
  broker.heal();
  const closed = Promise.all([routing.close(), broker.close()]);
  await advance(5_000);
  await closed;
  vi.useRealTimers();
});

test("the log tells each change of breaker and route with its reason, one for the worse as a warning", async () => {
  const [info, warning] = [30, 40];
  const votes = (route: string, forSqs: number) => ({
    ...{ route, by: "fleet", why: `${forSqs} of 1 processes vote for sqs` },
    msg: `route ${route} by fleet: ${forSqs} of 1 processes vote for sqs`,
  });
  await advanceVoting(4_000);
  expect(lines.splice(0)).toEqual([{ level: info, ...votes("pulsar", 0) }]);
  broker.break();
  await advanceVoting(5_000);
  const { reason } = routing.breaker.state();
  expect(lines.splice(0)).toEqual([
    { level: warning, breaker: "open", reason, openings: 1, msg: `breaker open: ${reason}` },
    { level: warning, ...votes("sqs", 1) },
  ]);
  broker.heal();
  await advanceVoting(60_000);
  expect(lines.splice(0)).toMatchObject([
    { level: warning, breaker: "closed", openings: 1, msg: "breaker closed: 5 good samples in a row" },
    { level: info, ...votes("pulsar", 0) },
  ]);
});

test("a process votes under a name of its own, which it can't share with one before it on this host", async () => {
  await advance(100);
  const { votes } = await routeStore.read();
  expect(votes).toMatchObject([{ voter: routing.voter, route: "pulsar" }]);
  expect(routing.voter.split(`${hostname()}-${process.pid}-`)).toEqual([
    "",
    expect.stringMatching(/^[0-9a-f]{6}$/),
  ]);
  expect(createVoterName()).not.toBe(routing.voter);
});

test("closing takes back the vote, and leaves nothing that would run on", async () => {
  await advance(2_000);
  await routing.close();
  expect((await routeStore.read()).votes).toEqual([]);
  expect(vi.getTimerCount()).toBe(0);
});
