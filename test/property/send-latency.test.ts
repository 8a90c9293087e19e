import fc from "fast-check";
import { expect, test } from "vitest";
import { createLatencyHistogram } from "../../shared/routing/latency-histogram.ts";
import { type Baseline, judgeWindow, noBaseline, warmUpWindows } from "../../shared/routing/send-latency.ts";

const limits = { windowMs: 5_000, minSends: 20, floorMs: 250, factor: 4, baselineMs: 300_000 };
const latency = fc.integer({ min: 0, max: 200_000 });

test("a quantile of the histogram is the exact one, or up to 12.5% more", () => {
  fc.assert(
    fc.property(
      fc.array(latency, { minLength: 1, maxLength: 500 }),
      fc.double({ min: 0.01, max: 1, noNaN: true }),
      (latencies, share) => {
        const histogram = createLatencyHistogram();
        for (const each of latencies) histogram.record(each);
        const sorted = latencies.toSorted((a, b) => a - b);
        const exact = sorted[Math.ceil(share * sorted.length) - 1]!;
        const found = histogram.quantileMs(share);
        expect(found).toBeGreaterThanOrEqual(exact);
        expect(found).toBeLessThanOrEqual(exact * 1.125);
      },
    ),
  );
});

test("the histogram takes whatever a clock gives, and forgets", () => {
  const histogram = createLatencyHistogram();
  for (const each of [-5, 0.4, 1e12, Number.POSITIVE_INFINITY]) histogram.record(each);
  expect(histogram.count()).toBe(4);
  expect(histogram.quantileMs(0.5)).toBe(0);
  expect(histogram.quantileMs(1)).toBeGreaterThanOrEqual(1_000_000);
  histogram.clear();
  expect([histogram.count(), histogram.quantileMs(0.99)]).toEqual([0, 0]);
});

const anyWindow = fc.record({ sends: fc.integer({ min: 0, max: 100 }), p99Ms: latency });

test("thin windows leave the baseline alone, bad ones nearly, good ones draw it towards them, and no limit is below the floor", () => {
  fc.assert(
    fc.property(fc.array(anyWindow, { maxLength: 200 }), (windows) => {
      let baseline: Baseline = noBaseline;
      for (const window of windows) {
        const before = baseline;
        const judged = judgeWindow(before, window, limits);
        baseline = judged.baseline;
        const { verdict, limit } = judged.signal;
        if (limit !== null) expect(limit).toBeGreaterThanOrEqual(limits.floorMs);
        if (before.windows < warmUpWindows || window.sends < limits.minSends) expect(verdict).toBe("unknown");
        else expect(verdict).toBe(window.p99Ms > limit! ? "bad" : "good");
        if (window.sends < limits.minSends) {
          expect(baseline).toEqual(before);
          continue;
        }
        const moved = Math.abs(baseline.meanMs - before.meanMs);
        if (verdict === "bad") expect(moved).toBeLessThanOrEqual((window.p99Ms - before.meanMs) / 1_000);
        const [low, high] = [before.meanMs, window.p99Ms].toSorted((a, b) => a - b) as [number, number];
        expect(baseline.meanMs).toBeGreaterThanOrEqual(low - 1e-6);
        expect(baseline.meanMs).toBeLessThanOrEqual(high + 1e-6);
      }
    }),
  );
});

test("the baseline follows a slow change and not a fast one", () => {
  const window = (p99Ms: number) => ({ sends: 100, p99Ms });
  let baseline: Baseline = noBaseline;
  for (let n = 0; n < 60; n += 1) baseline = judgeWindow(baseline, window(100), limits).baseline;
  expect(baseline.meanMs).toBeCloseTo(100);
  expect(judgeWindow(baseline, window(401), limits).signal).toMatchObject({
    value: 401,
    limit: 400,
    verdict: "bad",
  });
  for (let p99Ms = 100; p99Ms <= 500; p99Ms += 1) {
    const judged = judgeWindow(baseline, window(p99Ms), limits);
    expect(judged.signal.verdict).toBe("good");
    baseline = judged.baseline;
  }
  expect(baseline.meanMs).toBeGreaterThan(400);
});

test("an outage of a quarter of an hour stays bad to its end; what lasts for hours becomes the usual", () => {
  const window = (p99Ms: number) => ({ sends: 100, p99Ms });
  const verdictAfter = (minutes: number, p99Ms: number) => {
    let judged = judgeWindow({ meanMs: 10, windows: 1_000 }, window(p99Ms), limits);
    for (let n = 0; n < 12 * minutes; n += 1) judged = judgeWindow(judged.baseline, window(p99Ms), limits);
    return judged.signal.verdict;
  };
  expect([verdictAfter(15, 300), verdictAfter(15, 5_000)]).toEqual(["bad", "bad"]);
  expect([verdictAfter(240, 300), verdictAfter(240, 5_000)]).toEqual(["good", "good"]);
});
