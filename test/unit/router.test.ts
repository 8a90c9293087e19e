import { afterEach, describe, expect, test, vi } from "vitest";
import type { FleetState, RouteStore } from "../../shared/ports/route-store.ts";
import type { Path } from "../../shared/ports/update-queue.ts";
import type { Breaker } from "../../shared/routing/breaker.ts";
import { type Route, startRouter } from "../../shared/routing/router.ts";

const VOTE_TTL_MS = 3_000;

afterEach(() => void vi.useRealTimers());

/** A store whose clock runs by itself, and which can go away. */
function createStore(skewMs: number, expiresInMs: number) {
  const clock = { nowMs: 1_000_000 };
  let away = false;
  const store = {
    async vote({ voter, route, reason }): Promise<FleetState> {
      if (away) throw new Error("away");
      const storeNowMs = clock.nowMs + skewMs;
      const setAtMs = 1_000_000 + skewMs;
      const expiresAtMs = setAtMs + expiresInMs;
      const override = { route: "sqs" as const, reason: "drill", name: "ann", setAtMs, expiresAtMs };
      return {
        route: "pulsar",
        sinceMs: 0,
        override: expiresAtMs > storeNowMs ? override : undefined,
        votes: [{ voter, route, reason, expiresAtMs: storeNowMs + VOTE_TTL_MS }],
      };
    },
    withdraw: async () => {},
  } as Partial<RouteStore> as RouteStore;
  return {
    clock,
    store,
    goAway() {
      away = true;
    },
  };
}

const breaker = {
  verdict: () => ({ route: "pulsar", reason: "closed" }),
  onChange: () => {},
} as Partial<Breaker> as Breaker;

test.each([-7_200_000, 0, 7_200_000])(
  "an override lasts as long as the store says, by a clock that is %i ms off",
  async (skewMs) => {
    const { clock, store, goAway } = createStore(skewMs, 60_000);
    const router = startRouter({
      breaker,
      routeStore: store,
      voter: "one",
      voteEveryMs: 1_000_000,
      voteTtlMs: VOTE_TTL_MS,
      now: () => clock.nowMs,
      onChange: () => {},
    });
    const heard: string[] = [];
    router.onChange(({ path, by }) => heard.push(`${path} by ${by}`));
    await router.refresh();
    expect(router.route()).toMatchObject({ path: "sqs", by: "override" });
    clock.nowMs += 30_000;
    await router.refresh();
    goAway();
    await router.refresh();
    clock.nowMs += 29_000;
    expect(router.route()).toMatchObject({ path: "sqs", by: "override", why: "ann: drill" });
    clock.nowMs += 2_000;
    expect(router.route()).toMatchObject({ path: "pulsar", by: "local" });
    await router.refresh();
    expect(heard).toEqual(["sqs by override", "pulsar by local"]);
    await router.close();
  },
);

describe("beside a fleet", () => {
  const vote = (voter: string, route: Path) => ({ voter, route, reason: "", expiresAtMs: 0 });
  const onPulsar: FleetState = { route: "pulsar", sinceMs: 0, override: undefined, votes: [] };

  /** A router whose store says what `hears` gives, and whose own breaker is open when `verdict` says sqs. */
  function start(
    hears: () => FleetState,
    { withStore = true, voteEveryMs = 1_000_000, subscription = undefined as (() => "bad") | undefined } = {},
  ) {
    const local = { verdict: "pulsar" as Path, nowMs: 1_000_000, changed: () => {} };
    const changes: Route[] = [];
    const store = { vote: vi.fn(async () => hears()), withdraw: vi.fn(async () => {}) };
    const router = startRouter({
      breaker: {
        verdict: () => ({ route: local.verdict, reason: `breaker says ${local.verdict}` }),
        onChange(listener: () => void) {
          local.changed = listener;
        },
      } as Partial<Breaker> as Breaker,
      routeStore: withStore ? (store as Partial<RouteStore> as RouteStore) : undefined,
      voter: "one",
      subscription,
      voteEveryMs,
      voteTtlMs: VOTE_TTL_MS,
      now: () => local.nowMs,
      onChange: (route) => changes.push(route),
    });
    return { router, store, local, changes };
  }

  test("it goes by the fleet, and votes with its own breaker's verdict", async () => {
    const votes = [vote("one", "pulsar"), vote("two", "sqs"), vote("three", "sqs")];
    const { router, store } = start(() => ({ ...onPulsar, route: "sqs", votes }));
    await router.refresh();
    expect(router.route()).toEqual({ path: "sqs", by: "fleet", why: "2 of 3 processes vote for sqs" });
    expect(router.fleet()).toEqual({ state: { ...onPulsar, route: "sqs", votes }, error: undefined });
    const own = { voter: "one", route: "pulsar", reason: "breaker says pulsar" };
    expect(store.vote).toHaveBeenLastCalledWith(own, VOTE_TTL_MS);
    await router.close();
  });

  test("where it sees the subscription it votes with that too", async () => {
    const seen = { ...vote("one", "sqs"), subscription: "bad" as const };
    const { router, store } = start(
      () => ({ ...onPulsar, route: "sqs", votes: [seen, vote("two", "pulsar")] }),
      {
        subscription: () => "bad",
      },
    );
    await router.refresh();
    const why = "1 of 2 processes vote for sqs, 1 of 1 consumers for the subscription";
    expect(router.route()).toEqual({ path: "sqs", by: "fleet", why });
    expect(store.vote).toHaveBeenLastCalledWith(
      expect.objectContaining({ voter: "one", subscription: "bad" }),
      VOTE_TTL_MS,
    );
    await router.close();
  });

  test("it asks again soon until it hears the fleet for the first time", async () => {
    let asked = 0;
    const { router } = start(() => {
      asked += 1;
      if (asked < 4) throw new Error("not connected yet");
      return { ...onPulsar, route: "sqs" };
    });
    expect(router.route()).toMatchObject({ path: "pulsar", by: "local" });
    await router.firstHeard;
    expect([asked, router.route()]).toMatchObject([4, { path: "sqs", by: "fleet" }]);
    await router.close();
  });

  test("it goes by its own breaker where the fleet is not heard in time", async () => {
    vi.useFakeTimers();
    const { router } = start(() => {
      throw new Error("connection refused");
    });
    let settled = false;
    const settling = router.firstHeard.then(() => {
      settled = true;
    });
    await vi.advanceTimersByTimeAsync(2_900);
    expect(settled).toBe(false);
    await vi.advanceTimersByTimeAsync(200);
    await settling;
    vi.useRealTimers();
    expect(router.route()).toMatchObject({ path: "pulsar", by: "local" });
    await router.close();
  });

  test("it need not wait for a fleet it has no store of, nor for one it is closed before hearing", async () => {
    vi.useFakeTimers();
    const alone = start(() => onPulsar, { withStore: false });
    const deaf = start(() => {
      throw new Error("connection refused");
    });
    await vi.advanceTimersByTimeAsync(5);
    const waits = [alone.router.firstHeard, deaf.router.close(), deaf.router.firstHeard];
    const settled = Promise.all(waits).then(() => true);
    await vi.advanceTimersByTimeAsync(10);
    expect(await Promise.race([settled, Promise.resolve(false)])).toBe(true);
    const votes = deaf.store.vote.mock.calls.length;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(deaf.store.vote).toHaveBeenCalledTimes(votes);
    expect(deaf.changes).toMatchObject([{ path: "pulsar", by: "local" }]);
    await alone.router.close();
  });

  test("it votes again and again, and at once when its breaker changes", async () => {
    const often = start(() => onPulsar, { voteEveryMs: 5 });
    await vi.waitFor(() => expect(often.store.vote.mock.calls.length).toBeGreaterThan(2));
    await often.router.close();
    const { router, store, local } = start(() => onPulsar);
    expect(store.vote).toHaveBeenCalledTimes(1);
    local.verdict = "sqs";
    local.changed();
    expect(store.vote).toHaveBeenCalledTimes(2);
    expect(store.vote).toHaveBeenLastCalledWith(expect.objectContaining({ route: "sqs" }), VOTE_TTL_MS);
    await router.close();
  });

  test("a vote that is lost now and then does not move the route", async () => {
    let asked = 0;
    const { router, local, changes } = start(() => {
      asked += 1;
      if (asked % 2 === 0) throw new Error("timeout");
      return { ...onPulsar, route: "sqs" };
    });
    await router.firstHeard;
    for (let vote = 0; vote < 20; vote++) {
      local.nowMs += 500;
      await router.refresh();
    }
    expect(changes.map(({ path, by }) => `${path} by ${by}`)).toEqual(["sqs by fleet"]);
    await router.close();
  });

  test("it goes by its own breaker once the store is away for as long as a vote counts, and says why", async () => {
    let away = false;
    const { router, local, changes } = start(() => {
      if (away) throw new Error("connection refused");
      return onPulsar;
    });
    await router.refresh();
    away = true;
    local.verdict = "sqs";
    expect(router.route()).toMatchObject({ path: "pulsar", by: "fleet" });
    local.nowMs += VOTE_TTL_MS - 1;
    await router.refresh();
    expect(router.route()).toMatchObject({ path: "pulsar", by: "fleet" });
    expect(router.fleet()).toEqual({ state: onPulsar, error: "connection refused" });
    local.nowMs += 1;
    await router.refresh();
    expect(router.route()).toEqual({ path: "sqs", by: "local", why: "breaker says sqs" });
    expect(changes.map(({ path, by }) => `${path} by ${by}`)).toEqual(["pulsar by fleet", "sqs by local"]);
    away = false;
    await router.refresh();
    expect(router.route()).toMatchObject({ path: "pulsar", by: "fleet" });
    expect(router.fleet().error).toBeUndefined();
    await router.close();
  });

  test("a clock stepped back does not lengthen what it heard last", async () => {
    let away = false;
    const { router, local } = start(() => {
      if (away) throw new Error("connection refused");
      return onPulsar;
    });
    await router.refresh();
    away = true;
    await router.refresh();
    local.nowMs -= 1;
    expect(router.route()).toMatchObject({ by: "local" });
    await router.close();
  });

  test("an override whose end it can't tell does not outlive the store", async () => {
    let away = false;
    const override = {
      route: "sqs" as const,
      reason: "drill",
      name: "ann",
      setAtMs: 0,
      expiresAtMs: 9_000_000,
    };
    const { router } = start(() => {
      if (away) throw new Error("connection refused");
      return { ...onPulsar, override, votes: [vote("two", "pulsar")] };
    });
    await router.refresh();
    expect(router.route()).toEqual({ path: "sqs", by: "override", why: "ann: drill" });
    away = true;
    await router.refresh();
    expect(router.route()).toMatchObject({ path: "pulsar", by: "fleet" });
    await router.close();
  });

  test("each change of the route is told once, with the time of it", async () => {
    let heard = onPulsar;
    const { router, local, changes } = start(() => heard);
    await router.refresh();
    local.nowMs += 1_000;
    await router.refresh();
    expect(changes).toEqual([router.route()]);
    expect(router.sinceMs()).toBe(1_000_000);
    heard = { ...onPulsar, route: "sqs" };
    await router.refresh();
    local.nowMs += 1_000;
    await router.refresh();
    expect(changes.map(({ path, by }) => [path, by])).toEqual([
      ["pulsar", "fleet"],
      ["sqs", "fleet"],
    ]);
    expect(router.sinceMs()).toBe(1_001_000);
    await router.close();
  });

  test("at its end it stops voting, and withdraws its vote", async () => {
    const { router, store } = start(() => onPulsar, { voteEveryMs: 5 });
    await router.refresh();
    await router.close();
    expect(store.withdraw).toHaveBeenCalledExactlyOnceWith("one");
    const votes = store.vote.mock.calls.length;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(store.vote).toHaveBeenCalledTimes(votes);
  });

  test("without a store it goes by its own breaker alone", async () => {
    const { router, local, changes } = start(() => onPulsar, { withStore: false });
    expect(router.route()).toEqual({ path: "pulsar", by: "local", why: "breaker says pulsar" });
    local.verdict = "sqs";
    local.changed();
    expect(changes.map(({ path }) => path)).toEqual(["pulsar", "sqs"]);
    expect(router.fleet()).toEqual({ state: undefined, error: undefined });
    await router.close();
  });
});
