import { describe, expect, test } from "vitest";
import type { Path } from "../../shared/ports/update-queue.ts";
import {
  decideFleetRoute,
  expireOverride,
  type FleetRoute,
  initialFleetRoute,
} from "../../shared/routing/fleet-decision.ts";

const NOW_MS = 1_000_000;
const MINUTE_MS = 60_000;
const WHY = "canaries time out";
/** A vote of each process, which counts for one more millisecond. */
const votes = (...routes: Path[]) =>
  routes.map((route, i) => ({ voter: `p${i}`, route, reason: WHY, expiresAtMs: NOW_MS + 1 }));
const onSqs = (openingsMs: number[]): FleetRoute => ({
  route: "sqs",
  sinceMs: openingsMs.at(-1) ?? 0,
  openingsMs,
});
const decide = (state: FleetRoute, ...routes: Path[]) =>
  decideFleetRoute(state, votes(...routes), NOW_MS, WHY);

describe("the fleet leaves Pulsar", () => {
  test("when more than half of the votes say so, with a line for the audit log", () => {
    expect(decide(initialFleetRoute, "sqs", "pulsar", "sqs")).toEqual({
      state: { route: "sqs", sinceMs: NOW_MS, openingsMs: [NOW_MS] },
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
    expect(decideFleetRoute(initialFleetRoute, late, NOW_MS, WHY).moved).toBeUndefined();
    expect(decideFleetRoute(initialFleetRoute, [...late, ...votes("sqs")], NOW_MS, WHY).moved).toMatchObject({
      reason: "1 of 1 votes for sqs: canaries time out",
    });
  });

  test("and the openings of the last minute stay known", () => {
    const before = { ...initialFleetRoute, openingsMs: [NOW_MS - MINUTE_MS, NOW_MS - MINUTE_MS + 1] };
    expect(decide(before, "pulsar").state.openingsMs).toEqual([NOW_MS - MINUTE_MS + 1]);
    expect(decide(before, "sqs").state.openingsMs).toEqual([NOW_MS - MINUTE_MS + 1, NOW_MS]);
  });
});

describe("the fleet returns to Pulsar", () => {
  const opened = onSqs([NOW_MS - 10_000]);

  test.each([[[]], [["pulsar"]], [["sqs", "pulsar"]]] as [Path[]][])("by the votes %j", (routes) => {
    const { state, moved } = decide(opened, ...routes);
    expect(state).toEqual({ route: "pulsar", sinceMs: NOW_MS, openingsMs: opened.openingsMs });
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

test("an override ends by itself, with a line for the audit log", () => {
  const override = { route: "sqs" as const, name: "ann", reason: "drill", setAtMs: 1, expiresAtMs: NOW_MS };
  expect(expireOverride(undefined, NOW_MS)).toBeUndefined();
  expect(expireOverride(override, NOW_MS - 1)).toBeUndefined();
  expect(expireOverride(override, NOW_MS)).toEqual({
    ...{ atMs: NOW_MS, action: "expire", route: "auto" },
    ...{ name: "ann", reason: "drill", expiresAtMs: NOW_MS },
  });
});
