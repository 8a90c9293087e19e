import type { RateLimit } from "../../shared/domain/token-bucket.ts";
import type { RateStore } from "../../shared/ports/rate-store.ts";

export type KnownShortages = Buckets & {
  /**
   * Never more than the store would say, while all gateways go by this limit. For a second after it has changed, or
   * tokens were given back elsewhere, there may be more in the bucket.
   * @returns for how many milliseconds (whole) a bucket is known not to hold as many tokens; 0 where the store has to
   *   be asked
   */
  waitMs(bucket: string, tokens: number, limit: RateLimit): number;
};

type Buckets = Pick<RateStore, "take" | "giveBack">;
type Shortage = { tokens: number; limit: RateLimit; untilMs: number; askAgainAtMs: number };

/** A store that has lost its buckets holds full ones. */
const ASK_AGAIN_AFTER_MS = 1_000;
/** By how much an answer of the store may be too long: it is in whole milliseconds, and takes cost whole microseconds. */
const ROUNDED_UP_MS = 2;

/**
 * A rate store that is not asked while its last answer still tells: whatever others take meanwhile, a bucket that lacked
 * tokens does not have them before they come back. So who sends far too much costs the store little.
 *
 * @param options.now milliseconds of a clock that never steps
 * @param options.maxBuckets of which something is remembered; with one more, all of it is forgotten.
 */
export function createKnownShortages(
  store: Buckets,
  options: { maxBuckets: number; now(): number },
): KnownShortages {
  const { maxBuckets, now } = options;
  const shortages = new Map<string, Shortage>();

  function waitMs(bucket: string, tokens: number, limit: RateLimit): number {
    const known = shortages.get(bucket);
    if (!known || tokens <= 0 || tokens > limit.burst) return 0;
    const { perSecond, burst } = known.limit;
    const nowMs = now();
    if (nowMs >= known.askAgainAtMs || perSecond !== limit.perSecond || burst !== limit.burst) {
      shortages.delete(bucket);
      return 0;
    }
    const untilMs = known.untilMs + ((tokens - known.tokens) * 1_000) / perSecond;
    return Math.max(0, Math.ceil(untilMs - nowMs));
  }

  return {
    waitMs,
    async take(bucket, tokens, limit) {
      const knownMs = waitMs(bucket, tokens, limit);
      if (knownMs > 0) return knownMs;
      const askedAtMs = now();
      const toldMs = await store.take(bucket, tokens, limit);
      if (toldMs > ROUNDED_UP_MS && Number.isFinite(toldMs)) {
        if (shortages.size >= maxBuckets) shortages.clear();
        const untilMs = askedAtMs + toldMs - ROUNDED_UP_MS;
        shortages.set(bucket, { tokens, limit, untilMs, askAgainAtMs: askedAtMs + ASK_AGAIN_AFTER_MS });
      }
      return toldMs;
    },
    async giveBack(bucket, ...args) {
      await store.giveBack(bucket, ...args);
      shortages.delete(bucket);
    },
  };
}
