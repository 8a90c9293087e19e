/** How much background work may be under way at once, so that it takes what the foreground leaves of a shared server. */
export type BackgroundWindow = {
  /** What something just took in milliseconds, from any fixed starting point: only what it is above the least counts. */
  observe(delayMs: number): void;
  /** At least `min`, so that it never starves. */
  allowed(): number;
};

const STEP_MS = 100;
const BASE_MINUTES = 10;
const MINUTE_MS = 60_000;
/** Below this share of the target a new window doubles with each step. */
const SLOW_START_SHARE = 0.75;
/** Of the window, what a step without any queueing adds. */
const GAIN = 0.1;

/**
 * LEDBAT (RFC 6817): the delay above the least one of the last ten minutes is queueing that somebody feels. Below the
 * target the window grows by what is left of it, above it shrinks by what is too much, at most by half at once, and a new
 * window starts slowly (both as in LEDBAT++, draft-irtf-iccrg-ledbat-plus-plus). By time, not by round trip: ten steps a
 * second, whatever the rate. Nothing observed for a step means that nobody is in the way.
 *
 * @param options.targetDelayMs how much later the foreground may be for it, on average
 * @param options.maxBaseMs what a delay is at rest at most, where more means that the foreground lags: who comes when it
 *   does already would take that for rest. Default: any
 * @param options.now milliseconds of a clock that never steps
 */
export function createBackgroundWindow(options: {
  min: number;
  max(): number;
  targetDelayMs(): number;
  maxBaseMs?: number;
  now(): number;
}): BackgroundWindow {
  const { min, max, targetDelayMs, maxBaseMs = Number.POSITIVE_INFINITY, now } = options;
  let window = min;
  let starting = true;
  let steppedAtMs = now();
  let sumMs = 0;
  let count = 0;
  /** The least delay of each of the last minutes. */
  const bases: { minute: number; leastMs: number }[] = [];

  function baseMs(): number {
    return Math.min(maxBaseMs, ...bases.map(({ leastMs }) => leastMs));
  }

  function step(): void {
    const nowMs = now();
    if (nowMs - steppedAtMs < STEP_MS) return;
    steppedAtMs = nowMs;
    const load = count === 0 ? 0 : (sumMs / count - baseMs()) / targetDelayMs();
    sumMs = 0;
    count = 0;
    window = Math.min(max(), Math.max(min, next(load)));
  }

  function next(load: number): number {
    if (load > 1) {
      starting = false;
      return window - window * Math.min(0.5, load - 1);
    }
    if (starting && load < SLOW_START_SHARE) return window * 2;
    starting = false;
    return window + Math.max(1, window * GAIN) * (1 - load);
  }

  return {
    observe(delayMs) {
      const minute = Math.floor(now() / MINUTE_MS);
      const newest = bases.at(-1);
      if (newest?.minute === minute) newest.leastMs = Math.min(newest.leastMs, delayMs);
      else {
        bases.push({ minute, leastMs: delayMs });
        if (bases.length > BASE_MINUTES) bases.shift();
      }
      sumMs += delayMs;
      count += 1;
      step();
    },
    allowed() {
      step();
      return Math.floor(window);
    },
  };
}
