/** Token buckets in this process's memory, for the embedded mode and tests. Lost with the process. */
import { priceTokens, takeTokens } from "../../domain/token-bucket.ts";
import type { RateStore } from "../../ports/rate-store.ts";
import { storeClosed, storeFull } from "./embedded-store.ts";

export type MemoryRateStoreOptions = {
  /** Buckets kept, those that are not full; one more fails. */
  maxBuckets: number;
  /** Milliseconds since the epoch; a fraction counts. Default: the system clock. */
  now?: () => number;
};

/** A bucket that is full by the limit of the last call is as good as gone. */
type StoredBucket = { emptyUs: number; fullUs: number };

/** With as many buckets as it keeps, the first take from one more goes through all of them. */
export function createMemoryRateStore(options: MemoryRateStoreOptions): RateStore {
  const { maxBuckets, now = Date.now } = options;
  const buckets = new Map<string, StoredBucket>();
  let closed = false;

  function makeRoom(nowUs: number): void {
    for (const [bucket, { fullUs }] of buckets) if (fullUs <= nowUs) buckets.delete(bucket);
    if (buckets.size >= maxBuckets) throw storeFull(`${maxBuckets} buckets`);
  }

  return {
    async take(bucket, tokens, limit) {
      if (closed) throw storeClosed();
      const price = priceTokens(tokens, limit);
      if (price === undefined) return Number.POSITIVE_INFINITY;
      const nowUs = Math.round(now() * 1_000);
      const found = buckets.get(bucket);
      if (found === undefined && buckets.size >= maxBuckets) makeRoom(nowUs);
      const stored = found !== undefined && found.fullUs > nowUs ? found : undefined;
      const { emptyUs, waitMs } = takeTokens(stored?.emptyUs, nowUs, price);
      const fullUs = emptyUs + price.fillUs;
      // A refusal puts off when the bucket counts as full, and never hastens it.
      const refused = waitMs > 0 && emptyUs === stored?.emptyUs;
      buckets.set(bucket, { emptyUs, fullUs: refused ? Math.max(stored.fullUs, fullUs) : fullUs });
      return waitMs;
    },
    async giveBack(bucket, tokens, limit) {
      if (closed) throw storeClosed();
      const price = priceTokens(tokens, limit);
      const stored = buckets.get(bucket);
      // Sooner full than `fullUs` then: until that it is as full as any.
      if (price && stored) buckets.set(bucket, { ...stored, emptyUs: stored.emptyUs - price.costUs });
    },
    async close() {
      closed = true;
      buckets.clear();
    },
  };
}
