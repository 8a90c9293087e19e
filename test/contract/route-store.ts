/** What every route store does, on a clock that the test moves. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { RouteStore } from "../../shared/ports/route-store.ts";
import type { Path } from "../../shared/ports/update-queue.ts";

export type RouteStoreSubject = {
  store: RouteStore;
  /** Another process's view of the same store. */
  other: RouteStore;
  close(): Promise<void>;
};

export type TestClock = { nowMs: number };

const ttlMs = 10_000;

export function describeRouteStore(
  name: string,
  open: (clock: TestClock) => Promise<RouteStoreSubject>,
): void {
  describe(`route store: ${name}`, () => {
    const clock: TestClock = { nowMs: 0 };
    let subject: RouteStoreSubject;
    let store: RouteStore;

    beforeEach(async () => {
      clock.nowMs = 1_700_000_000_000;
      subject = await open(clock);
      store = subject.store;
    });

    afterEach(async () => {
      await subject.close();
    });

    const vote = (voter: string, route: Path, reason = `${voter} says so`) =>
      store.vote({ voter, route, reason }, ttlMs);
    /** A fleet that is no longer in its first rest, with one vote. */
    const startFleet = async (voter = "a") => {
      await vote(voter, "pulsar");
      clock.nowMs += ttlMs - 1;
      await vote(voter, "pulsar");
      clock.nowMs += 1;
    };
    const actions = async () => (await store.audit(100)).map(({ action, route }) => `${action} ${route}`);

    it("starts at pulsar, without an override, votes or lines", async () => {
      const initial = { route: "pulsar", sinceMs: 0, override: undefined, votes: [] };
      expect(await store.read()).toEqual(initial);
      expect(await store.audit(10)).toEqual([]);
    });

    it("gives back the votes that count, as the others see them", async () => {
      await vote("b", "pulsar", "all well\nhere ✓");
      const state = await vote("a", "sqs", "");
      const expiresAtMs = clock.nowMs + ttlMs;
      expect(state.votes).toEqual([
        { voter: "a", route: "sqs", reason: "", expiresAtMs },
        { voter: "b", route: "pulsar", reason: "all well\nhere ✓", expiresAtMs },
      ]);
      expect(await subject.other.read()).toEqual(state);
    });

    it("opens with more than half of the votes, not with half", async () => {
      await startFleet();
      expect((await vote("b", "sqs")).route).toBe("pulsar");
      const state = await vote("c", "sqs", "canary late");
      expect(state).toMatchObject({ route: "sqs", sinceMs: clock.nowMs });
      expect(await store.audit(10)).toEqual([
        {
          atMs: clock.nowMs,
          action: "fleet",
          route: "sqs",
          name: "fleet",
          reason: "2 of 3 votes for sqs: canary late",
        },
      ]);
    });

    it("opens for the consumers' subscription whatever those vote who can't see it, and closes with them", async () => {
      await startFleet();
      for (const voter of ["b", "c", "d"]) await vote(voter, "pulsar");
      const consume = (voter: string, subscription: "good" | "bad", route: Path) =>
        store.vote({ voter, route, reason: "stalled", subscription }, ttlMs);
      await consume("one", "good", "pulsar");
      expect((await consume("two", "bad", "sqs")).route).toBe("pulsar");
      const state = await consume("one", "bad", "sqs");
      expect(state.route).toBe("sqs");
      expect(state.votes.filter(({ subscription }) => subscription === "bad")).toHaveLength(2);
      expect((await vote("a", "pulsar")).route).toBe("sqs");
      expect((await consume("one", "good", "pulsar")).route).toBe("pulsar");
      expect((await store.audit(10)).map(({ reason }) => reason)).toEqual([
        "1 of 6 votes for sqs, 1 of 2 consumers for the subscription: stalled",
        "2 of 6 votes for sqs, 2 of 2 consumers for the subscription: stalled",
      ]);
    });

    it("closes when at most half are for sqs", async () => {
      await startFleet();
      await vote("a", "sqs");
      await vote("b", "sqs");
      clock.nowMs += 1_000;
      expect(await vote("b", "pulsar")).toMatchObject({ route: "pulsar", sinceMs: clock.nowMs });
      expect(await actions()).toEqual(["fleet pulsar", "fleet sqs"]);
    });

    it.each(["expired", "withdrawn"])(
      "does not let the first to be heard move it alone when all votes are %s",
      async (gone) => {
        await startFleet();
        await vote("b", "pulsar");
        await vote("c", "pulsar");
        if (gone === "expired") clock.nowMs += ttlMs;
        else for (const voter of ["a", "b", "c"]) await store.withdraw(voter);
        expect((await vote("a", "sqs", "own link cut")).route).toBe("pulsar");
        clock.nowMs += 500;
        await vote("b", "pulsar");
        await vote("c", "pulsar");
        for (let round = 0; round < 30; round++) {
          clock.nowMs += 500;
          for (const voter of ["a", "b", "c"]) await vote(voter, voter === "a" ? "sqs" : "pulsar");
        }
        expect(await actions()).toEqual([]);
      },
    );

    it("goes by the votes once it was heard for as long as a vote counts", async () => {
      await vote("a", "sqs");
      clock.nowMs += ttlMs - 1;
      expect((await vote("a", "sqs")).route).toBe("pulsar");
      clock.nowMs += 1;
      expect((await vote("a", "sqs")).route).toBe("sqs");
      clock.nowMs += ttlMs;
      expect((await vote("a", "pulsar")).route).toBe("sqs");
      clock.nowMs += ttlMs - 1;
      await vote("a", "pulsar");
      clock.nowMs += 1;
      expect((await vote("a", "pulsar")).route).toBe("pulsar");
    });

    it("writes one line a change, none for votes that change nothing", async () => {
      await startFleet();
      for (let round = 0; round < 5; round++) {
        await vote("a", "sqs");
        clock.nowMs += 1_000;
      }
      expect(await actions()).toEqual(["fleet sqs"]);
    });

    it("counts a vote until its time is over, and once a voter", async () => {
      await vote("a", "sqs");
      await vote("a", "sqs");
      clock.nowMs += ttlMs - 1;
      expect((await vote("b", "pulsar")).votes).toHaveLength(2);
      clock.nowMs += 1;
      const state = await vote("c", "pulsar");
      expect(state.votes.map(({ voter }) => voter)).toEqual(["b", "c"]);
    });

    it("forgets a vote that is withdrawn", async () => {
      await vote("a", "sqs");
      await store.withdraw("a");
      await store.withdraw("never voted");
      expect((await store.read()).votes).toEqual([]);
    });

    it("opens at most twice in any 60 s, and does not close again before the first is over", async () => {
      await startFleet();
      const openedMs: number[] = [];
      let route: Path = "pulsar";
      for (let step = 0; step < 400; step++) {
        const state = await vote("a", step % 2 === 0 ? "sqs" : "pulsar");
        if (state.route === "sqs" && route === "pulsar") openedMs.push(clock.nowMs);
        route = state.route;
        clock.nowMs += 500;
      }
      // As often as the rule allows in 200 s, otherwise this shows nothing.
      expect(openedMs.length).toBeGreaterThanOrEqual(6);
      for (const [index, atMs] of openedMs.entries()) {
        const next = openedMs[index + 2] ?? Number.POSITIVE_INFINITY;
        expect(next - atMs).toBeGreaterThanOrEqual(60_000);
      }
      expect(await actions()).toHaveLength(openedMs.length * 2 - (route === "sqs" ? 1 : 0));
    });

    it("closes after two openings when the first is 60 s ago, not a millisecond earlier", async () => {
      await startFleet();
      for (const route of ["sqs", "pulsar", "sqs"] as const) {
        await vote("a", route);
        clock.nowMs += 1_000;
      }
      for (let seconds = 0; seconds < 57; seconds++) {
        clock.nowMs += seconds === 0 ? 999 : 1_000;
        await vote("a", "sqs");
      }
      expect((await vote("a", "pulsar")).route).toBe("sqs");
      clock.nowMs += 1;
      expect((await vote("a", "pulsar")).route).toBe("pulsar");
    });

    it("keeps an override until it expires, and then says so once, whoever comes next", async () => {
      const request = { route: "sqs", reason: "broker upgrade", name: "ada", expiresInMs: 5_000 } as const;
      const override = {
        route: "sqs",
        reason: "broker upgrade",
        name: "ada",
        setAtMs: clock.nowMs,
        expiresAtMs: clock.nowMs + 5_000,
      };
      expect((await store.override(request)).override).toEqual(override);
      clock.nowMs += 4_999;
      expect((await subject.other.read()).override).toEqual(override);
      clock.nowMs += 1;
      const reads = await Promise.all([
        store.read(),
        subject.other.read(),
        vote("a", "pulsar"),
        store.audit(1),
      ]);
      expect(reads.slice(0, 3)).toMatchObject([
        { override: undefined },
        { override: undefined },
        { override: undefined },
      ]);
      expect(await store.audit(10)).toEqual([
        {
          atMs: clock.nowMs,
          action: "expire",
          route: "auto",
          name: "ada",
          reason: "broker upgrade",
          expiresAtMs: override.expiresAtMs,
        },
        {
          atMs: override.setAtMs,
          action: "override",
          route: "sqs",
          name: "ada",
          reason: "broker upgrade",
          expiresAtMs: override.expiresAtMs,
        },
      ]);
    });

    it("replaces an override by another, and ends it when told to, each with its line", async () => {
      await store.override({ route: "sqs", reason: "one", name: "ada", expiresInMs: 60_000 });
      await store.override({ route: "pulsar", reason: "two", name: "bob", expiresInMs: 60_000 });
      const state = await store.clearOverride({ reason: "done", name: "cy" });
      expect(state.override).toBeUndefined();
      await store.clearOverride({ reason: "to be sure", name: "cy" });
      const lines = await store.audit(10);
      expect(lines.map(({ action, name, reason }) => [action, name, reason])).toEqual([
        ["clear", "cy", "to be sure"],
        ["clear", "cy", "done"],
        ["override", "bob", "two"],
        ["override", "ada", "one"],
      ]);
    });

    it("lets votes move the fleet's route under an override", async () => {
      await startFleet();
      await store.override({ route: "pulsar", reason: "hold", name: "ada", expiresInMs: 60_000 });
      expect(await vote("a", "sqs")).toMatchObject({ route: "sqs", override: { route: "pulsar" } });
    });

    it("gives the newest lines first, as many as asked for", async () => {
      for (const reason of ["one", "two", "three"]) await store.clearOverride({ reason, name: "ada" });
      expect((await store.audit(2)).map(({ reason }) => reason)).toEqual(["three", "two"]);
    });

    it("writes one line for a change however many processes vote at once", async () => {
      await startFleet("voter 0");
      const voters = Array.from({ length: 50 }, (_, index) => `voter ${index}`);
      await Promise.all(
        voters.map((voter, index) =>
          (index % 2 === 0 ? store : subject.other).vote({ voter, route: "sqs", reason: "sick" }, ttlMs),
        ),
      );
      expect(await actions()).toEqual(["fleet sqs"]);
      await Promise.all(
        voters.map((voter, index) =>
          (index % 2 === 0 ? store : subject.other).vote({ voter, route: "pulsar", reason: "well" }, ttlMs),
        ),
      );
      expect(await actions()).toEqual(["fleet pulsar", "fleet sqs"]);
    });

    it("takes a fleet of 500", async () => {
      await startFleet("voter 0");
      for (let voter = 0; voter < 500; voter++) await vote(`voter ${voter}`, voter < 250 ? "pulsar" : "sqs");
      const state = await store.read();
      expect(state.votes).toHaveLength(500);
      expect(state.route).toBe("pulsar");
      expect((await vote("voter 0", "sqs")).route).toBe("sqs");
    });
  });
}
