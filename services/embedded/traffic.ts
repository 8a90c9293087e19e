import type { Path } from "../../shared/ports/update-queue.ts";

/** What was counted between two samples. Rates are updates/s, lags are from publish to visible of live updates. */
export type TrafficSample = {
  atMs: number;
  pulsarRate: number;
  sqsRate: number;
  lagP50Ms: number | undefined;
  lagP99Ms: number | undefined;
};

export type Traffic = {
  sample(): void;
  /** Oldest first. */
  history(): readonly TrafficSample[];
  /** Over the last two seconds, updates/s. */
  rate(): Record<Path, number>;
  /** Of the last sample in which something was counted. */
  lag(): { p50Ms: number; p99Ms: number } | undefined;
};

export function createTraffic(options: {
  counted(): Record<Path, number>;
  takeLags(): number[];
  maxSamples: number;
  samplesPerRate: number;
  now(): number;
}): Traffic {
  const history: TrafficSample[] = [];
  let before = { atMs: options.now(), ...options.counted() };

  return {
    sample() {
      const current = { atMs: options.now(), ...options.counted() };
      const seconds = (current.atMs - before.atMs) / 1_000;
      if (seconds <= 0) return;
      const lags = options.takeLags().sort((a, b) => a - b);
      history.push({
        atMs: current.atMs,
        pulsarRate: (current.pulsar - before.pulsar) / seconds,
        sqsRate: (current.sqs - before.sqs) / seconds,
        lagP50Ms: quantile(lags, 0.5),
        lagP99Ms: quantile(lags, 0.99),
      });
      if (history.length > options.maxSamples) history.shift();
      before = current;
    },
    history: () => history,
    rate() {
      const last = history.slice(-options.samplesPerRate);
      const mean = (name: "pulsarRate" | "sqsRate") =>
        last.reduce((sum, sample) => sum + sample[name], 0) / Math.max(1, last.length);
      return { pulsar: mean("pulsarRate"), sqs: mean("sqsRate") };
    },
    lag() {
      const { lagP50Ms, lagP99Ms } = history.findLast((sample) => sample.lagP99Ms !== undefined) ?? {};
      return lagP50Ms === undefined || lagP99Ms === undefined
        ? undefined
        : { p50Ms: lagP50Ms, p99Ms: lagP99Ms };
    },
  };
}

/** Of values in rising order; the nearest rank. */
function quantile(values: readonly number[], share: number): number | undefined {
  return values[Math.max(0, Math.ceil(values.length * share) - 1)];
}
