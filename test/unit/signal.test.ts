import { expect, test } from "vitest";
import { judgeSendFailures } from "../../shared/routing/send-failures.ts";
import { holdsOpen, probeAfterMs, type Signal, type Verdict } from "../../shared/routing/signal.ts";
import { createSignalBoard } from "../../shared/routing/signal-board.ts";

function canary(verdict: Verdict, partition = 0): Signal {
  return { name: "canary", partition, value: null, unit: "ms", limit: 800, verdict, why: "not back" };
}

function boardOf(verdicts: readonly Verdict[]): string[] {
  const reasons: string[] = [];
  const board = createSignalBoard(3, (reason) => reasons.push(reason));
  for (const verdict of verdicts) board.report(canary(verdict));
  return reasons;
}

test("a signal is reason to open after so many bad readings in a row, and names value and limit", () => {
  expect(boardOf(["bad", "bad"])).toEqual([]);
  expect(boardOf(["bad", "bad", "good", "bad", "bad"])).toEqual([]);
  expect(boardOf(["bad", "bad", "unknown", "bad", "bad"])).toEqual([]);
  expect(boardOf(["good", "bad", "bad", "bad"])).toEqual([
    "canary of partition 0: no value, limit 800 ms: not back; bad 3 times in a row",
  ]);
});

test("each partition counts by itself, and all count anew after a closing", () => {
  const reasons: string[] = [];
  const board = createSignalBoard(3, (reason) => reasons.push(reason));
  for (let n = 0; n < 6; n += 1) board.report(canary("bad", n));
  expect(reasons).toEqual([]);
  expect(board.signals()).toHaveLength(6);
  board.report(canary("bad", 1));
  board.countAnew();
  board.report(canary("bad", 1));
  expect(reasons).toEqual([]);
  board.report(canary("bad", 1));
  board.report(canary("bad", 1));
  expect(reasons).toHaveLength(1);
});

test("a bad signal holds the breaker open; what only traffic can show, for a minute", () => {
  const stalled: Signal = { ...canary("bad"), name: "subscription_stalled" };
  expect(holdsOpen([canary("good"), canary("unknown")], 0)).toBeUndefined();
  expect(holdsOpen([canary("bad")], 10 * probeAfterMs)).toMatchObject({ name: "canary" });
  expect(holdsOpen([stalled], probeAfterMs - 1)).toEqual(stalled);
  expect(holdsOpen([stalled], probeAfterMs)).toBeUndefined();
});

test.each([
  [0, 0, null, "unknown"],
  [2, 2, 100, "unknown"],
  [4, 2, 50, "good"],
  [4, 3, 75, "bad"],
] as const)("of %i calls %i failed: %s %%, %s", (calls, failures, value, verdict) => {
  const options = { windowMs: 2_000, errorPercent: 50, minCalls: 3 };
  expect(judgeSendFailures({ calls, failures }, options)).toMatchObject({ value, limit: 50, verdict });
});
