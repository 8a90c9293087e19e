import pLimit from "p-limit";
import { KeylineError } from "./errors.ts";

/** Runs work as soon as there is room for it. */
export type AdaptiveLimit = {
  <T>(work: () => Promise<T>): Promise<T>;
  /** How many may be under way at once now. */
  allowed(): number;
  /** Whether one more would begin at once. */
  hasRoom(): boolean;
};

/** As many as fill one request; fewer would only make each of them dearer. */
const MIN_ALLOWED = 10;

/**
 * At most `max` at once, and fewer where the server does not keep up. What is sent again before its first try was
 * answered is work for the server too, so that a slow one would end with answering only what nobody waits for any
 * more (Bronson et al., "Metastable failures in distributed systems", 2021). Half as many after one that was not
 * answered or was throttled, but once for all that were under way; one more after each round of answers (additive
 * increase, multiplicative decrease; Chiu and Jain, 1989).
 */
export function createAdaptiveLimit(max: number): AdaptiveLimit {
  const limit = pLimit(max);
  const min = Math.min(MIN_ALLOWED, max);
  let allowed = max;
  let loweredAtMs = Number.NEGATIVE_INFINITY;

  function allow(count: number): void {
    allowed = Math.min(max, Math.max(min, count));
    limit.concurrency = Math.floor(allowed);
  }

  async function run<T>(work: () => Promise<T>): Promise<T> {
    const beganMs = performance.now();
    try {
      const result = await work();
      if (allowed < max) allow(allowed + 1 / allowed);
      return result;
    } catch (error) {
      if (isOverload(error) && beganMs >= loweredAtMs) {
        loweredAtMs = performance.now();
        allow(allowed / 2);
      }
      throw error;
    }
  }

  return Object.assign(<T>(work: () => Promise<T>) => limit(() => run(work)), {
    allowed: () => limit.concurrency,
    hasRoom: () => limit.activeCount + limit.pendingCount < limit.concurrency,
  });
}

function isOverload(error: unknown): boolean {
  if (!(error instanceof KeylineError) || !error.retryable) return false;
  return error.code === "queue_send_timeout" || error.code === "queue_send_refused";
}
