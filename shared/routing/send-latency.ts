import { createLatencyHistogram } from "./latency-histogram.ts";
import type { Signal } from "./signal.ts";

export type SendLatencyLimits = {
  /** Sends are judged in windows of this length. */
  windowMs: number;
  /** A window with fewer sends says nothing. */
  minSends: number;
  /** A p99 up to this is good, whatever the baseline. */
  floorMs: number;
  /** A p99 up to so many times the baseline is good. */
  factor: number;
  /** The baseline is a mean over about this time. */
  baselineMs: number;
};

/** What is usual here: the mean p99 of windows. */
export type Baseline = { meanMs: number; windows: number };

export const noBaseline: Baseline = { meanMs: 0, windows: 0 };

/** Good windows until there is a baseline; the first ones pay for connections and compilation. */
export const warmUpWindows = 3;

const PERCENTILE = 0.99;

/** So much less than a good window a bad one counts in the baseline. */
const BAD_WEIGHT = 0.01;

/**
 * Judges one window by the baseline of those before, and takes it into the baseline: the plain mean of the first
 * ones, an exponentially weighted one later. A bad window hardly counts, so that a sick broker does not become the
 * usual one; what lasts for hours does, else it would keep the breaker open for ever. Pure.
 */
export function judgeWindow(
  baseline: Baseline,
  window: { sends: number; p99Ms: number },
  limits: SendLatencyLimits,
): { baseline: Baseline; signal: Signal } {
  const { sends, p99Ms } = window;
  const known = baseline.windows >= warmUpWindows;
  const limitMs = known ? Math.max(limits.floorMs, Math.round(limits.factor * baseline.meanMs)) : null;
  const signal = { name: "send_latency_p99" as const, unit: "ms" as const, limit: limitMs };
  if (sends < limits.minSends) {
    const why = `${sends} sends in ${limits.windowMs} ms, fewer than ${limits.minSends}`;
    return { baseline, signal: { ...signal, value: sends === 0 ? null : p99Ms, verdict: "unknown", why } };
  }
  const weight = Math.min(1, limits.windowMs / limits.baselineMs);
  if (limitMs !== null && p99Ms > limitMs) {
    const why = `p99 of ${sends} sends; usual is ${baseline.meanMs.toFixed(1)} ms`;
    const learned = learn(baseline, p99Ms, BAD_WEIGHT * weight);
    return { baseline: learned, signal: { ...signal, value: p99Ms, verdict: "bad", why } };
  }
  const learned = learn(baseline, p99Ms, Math.max(1 / (baseline.windows + 1), weight));
  const why = known
    ? `p99 of ${sends} sends; usual is ${baseline.meanMs.toFixed(1)} ms`
    : `no baseline yet: ${learned.windows} of ${warmUpWindows} windows seen`;
  return { baseline: learned, signal: { ...signal, value: p99Ms, verdict: known ? "good" : "unknown", why } };
}

function learn({ meanMs, windows }: Baseline, p99Ms: number, weight: number): Baseline {
  return { meanMs: meanMs + weight * (p99Ms - meanMs), windows: windows + 1 };
}

export type SendLatency = {
  /** A send that succeeded. */
  record(latencyMs: number): void;
  close(): void;
};

/** Judges the sends of each window at its end; one histogram is all that is kept of them. */
export function startSendLatency(limits: SendLatencyLimits, report: (signal: Signal) => void): SendLatency {
  const histogram = createLatencyHistogram();
  let baseline = noBaseline;

  function judge(): void {
    const window = { sends: histogram.count(), p99Ms: histogram.quantileMs(PERCENTILE) };
    histogram.clear();
    const judged = judgeWindow(baseline, window, limits);
    baseline = judged.baseline;
    report(judged.signal);
  }

  report({
    ...judgeWindow(noBaseline, { sends: 0, p99Ms: 0 }, limits).signal,
    why: "the first window is not over",
  });
  const timer = setInterval(judge, limits.windowMs);
  return { record: histogram.record, close: () => clearInterval(timer) };
}
