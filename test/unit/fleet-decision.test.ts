import { describe, expect, test } from "vitest";
import type { Path } from "../../shared/ports/update-queue.ts";
import {
  decideFleetRoute,
  expireOverride,
  type FleetRoute,
  hearVote,
  initialFleetRoute,
} from "../../shared/routing/fleet-decision.ts";

const NOW_MS = 1_000_000;
const MINUTE_MS = 60_000;
const TTL_MS = 3_000;
const WHY = "canaries time out";
/** A vote of each process, which counts for one more millisecond. */
const votes = (...routes: Path[]) =>
  routes.map((route, i) => ({ voter: `p${i}`, route, reason: WHY, expiresAtMs: NOW_MS + 1 }));
const onSqs = (openingsMs: number[]): FleetRoute => ({
  route: "sqs",
  sinceMs: openingsMs.at(-1) ?? 0,
  openingsMs,
  heardSinceMs: 0,
});
const decide = (state: FleetRoute, ...routes: Path[]) =>
  decideFleetRoute(state, votes(...routes), NOW_MS, TTL_MS, WHY);

describe("the fleet leaves Pulsar", () => {
  test("when more than half of the votes say so, with a line for the audit log", () => {
    expect(decide(initialFleetRoute, "sqs", "pulsar", "sqs")).toEqual({
      state: { route: "sqs", sinceMs: NOW_MS, openingsMs: [NOW_MS], heardSinceMs: 0 },
      moved: {
        atMs: NOW_MS,
        action: "fleet",
        route: "sqs",
        name: "fleet",
        reason: "2 of 3 votes for sqs: canaries time out",
      },
    });
  });

  test.each([[[]], [["pulsar"]], [["sqs", "pulsar"]], [["sqs", "pulsar", "pulsar"]]] as [Path[]][])(
    "but not by the votes %j",
    (routes) => {
      expect(decide(initialFleetRoute, ...routes)).toEqual({ state: initialFleetRoute, moved: undefined });
    },
  );

  test("and a vote whose time has come does not count", () => {
    const late = votes("sqs", "sqs").map((vote) => ({ ...vote, expiresAtMs: NOW_MS }));
    expect(decideFleetRoute(initialFleetRoute, late, NOW_MS, TTL_MS, WHY).moved).toBeUndefined();
    const { moved } = decideFleetRoute(initialFleetRoute, [...late, ...votes("sqs")], NOW_MS, TTL_MS, WHY);
    expect(moved).toMatchObject({
      reason: "1 of 1 votes for sqs: canaries time out",
    });
  });

  test("and the openings of the last minute stay known", () => {
    const before = { ...initialFleetRoute, openingsMs: [NOW_MS - MINUTE_MS, NOW_MS - MINUTE_MS + 1] };
    expect(decide(before, "pulsar").state.openingsMs).toEqual([NOW_MS - MINUTE_MS + 1]);
    expect(decide(before, "sqs").state.openingsMs).toEqual([NOW_MS - MINUTE_MS + 1, NOW_MS]);
  });
});

describe("the fleet goes by what its consumers see of the subscription", () => {
  const seen = (...subscriptions: ("good" | "bad")[]) => [
    ...votes("pulsar", "pulsar", "pulsar", "pulsar"),
    ...subscriptions.map((subscription, i) => ({
      ...{ voter: `c${i}`, route: subscription === "bad" ? ("sqs" as const) : ("pulsar" as const) },
      ...{ reason: WHY, subscription, expiresAtMs: NOW_MS + 1 },
    })),
  ];

  test.each([
    [["bad"], "1 of 5 votes for sqs, 1 of 1 consumers for the subscription: canaries time out"],
    [
      ["bad", "bad", "good"],
      "2 of 7 votes for sqs, 2 of 3 consumers for the subscription: canaries time out",
    ],
    [["bad", "good"], undefined],
    [["good"], undefined],
  ] as [("good" | "bad")[], string | undefined][])("%j: %s", (subscriptions, reason) => {
    const { moved } = decideFleetRoute(initialFleetRoute, seen(...subscriptions), NOW_MS, TTL_MS, WHY);
    expect(moved?.reason).toBe(reason);
  });

  test("and stays on sqs for it", () => {
    expect(decideFleetRoute(onSqs([]), seen("bad"), NOW_MS, TTL_MS, WHY).moved).toBeUndefined();
    expect(decideFleetRoute(onSqs([]), seen("good"), NOW_MS, TTL_MS, WHY).moved?.route).toBe("pulsar");
  });
});

describe("the fleet returns to Pulsar", () => {
  const opened = onSqs([NOW_MS - 10_000]);

  test.each([[[]], [["pulsar"]], [["sqs", "pulsar"]]] as [Path[]][])("by the votes %j", (routes) => {
    const { state, moved } = decide(opened, ...routes);
    expect(state).toEqual({ ...opened, route: "pulsar", sinceMs: NOW_MS });
    expect(moved).toMatchObject({ action: "fleet", route: "pulsar" });
  });

  test("not while more than half say otherwise", () => {
    expect(decide(opened, "sqs", "sqs", "pulsar")).toEqual({ state: opened, moved: undefined });
  });

  test("not while it has left twice within a minute", () => {
    const twice = onSqs([NOW_MS - MINUTE_MS + 1, NOW_MS - 1]);
    expect(decide(twice, "pulsar")).toEqual({ state: twice, moved: undefined });
    expect(decide(onSqs([NOW_MS - MINUTE_MS, NOW_MS - 1]), "pulsar").state.route).toBe("pulsar");
  });
});

describe("after a silence the fleet", () => {
  const late = votes("sqs", "sqs").map((vote) => ({ ...vote, expiresAtMs: NOW_MS }));

  test("counts as heard anew, and as heard on while a vote is live", () => {
    const heardAnew = { ...initialFleetRoute, heardSinceMs: NOW_MS };
    expect(hearVote(initialFleetRoute, [], NOW_MS)).toEqual(heardAnew);
    expect(hearVote(initialFleetRoute, late, NOW_MS)).toEqual(heardAnew);
    expect(hearVote(initialFleetRoute, [...late, ...votes("sqs")], NOW_MS)).toBe(initialFleetRoute);
  });

  test.each([
    [0, false],
    [TTL_MS - 1, false],
    [TTL_MS, true],
    [-1, true],
  ])("heard for %i ms it may move: %s", (heardForMs, moves) => {
    const heardSinceMs = NOW_MS - heardForMs;
    expect(decide({ ...initialFleetRoute, heardSinceMs }, "sqs").moved !== undefined).toBe(moves);
    expect(decide({ ...onSqs([]), heardSinceMs }, "pulsar").moved !== undefined).toBe(moves);
  });
});

test("an override ends by itself, with a line for the audit log", () => {
  const override = { route: "sqs" as const, name: "ann", reason: "drill", setAtMs: 1, expiresAtMs: NOW_MS };
  expect(expireOverride(undefined, NOW_MS)).toBeUndefined();
  expect(expireOverride(override, NOW_MS - 1)).toBeUndefined();
  expect(expireOverride(override, NOW_MS)).toEqual({
    ...{ atMs: NOW_MS, action: "expire", route: "auto" },
    ...{ name: "ann", reason: "drill", expiresAtMs: NOW_MS },
  });
});
