import { expect, test } from "vitest";
import type { FleetState, RouteStore } from "../../shared/ports/route-store.ts";
import type { Breaker } from "../../shared/routing/breaker.ts";
import { startRouter } from "../../shared/routing/router.ts";

const VOTE_TTL_MS = 3_000;

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
