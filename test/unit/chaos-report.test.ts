import { expect, test } from "vitest";
import { faultsDuring, mostInWindow } from "../chaos/report.ts";

test("the most openings in any 60 s are found wherever they lie", () => {
  expect(mostInWindow([])).toBe(0);
  expect(mostInWindow([0, 50_000, 59_999, 60_000, 109_999])).toBe(4);
  expect(mostInWindow([0, 60_000, 120_000])).toBe(1);
});

test("a gap is reported beside the faults that it overlaps", () => {
  const pause = { kind: "pause", what: "redis" } as const;
  const faults = [
    { action: pause, startedMs: 1_000, endedMs: 4_000 },
    { action: { ...pause, what: "pulsar" as const }, startedMs: 6_000, endedMs: 9_000 },
  ];
  expect(faultsDuring({ fromMs: 1_500, toMs: 5_500 }, faults)).toEqual(["pause redis (1.0 to 4.0 s)"]);
  expect(faultsDuring({ fromMs: 4_500, toMs: 5_500 }, faults)).toEqual([]);
});
