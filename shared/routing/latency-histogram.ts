/**
 * Latencies in a fixed number of buckets, eight for each power of two (the idea of HdrHistogram), so that a
 * quantile is right to 12.5% and recording one is a few instructions and no memory.
 */
export type LatencyHistogram = {
  /** @param latencyMs of whatever size; below 0 counts as 0. */
  record(latencyMs: number): void;
  count(): number;
  /** The value that `share` (0 to 1) of the latencies do not exceed, at most 12.5% too high; 0 without any. */
  quantileMs(share: number): number;
  clear(): void;
};

const SUB_BUCKET_BITS = 3;
const SUB_BUCKETS = 2 ** SUB_BUCKET_BITS;
const LARGEST_MS = 2 ** 20 - 1;
const BUCKETS = bucketOf(LARGEST_MS) + 1;

export function createLatencyHistogram(): LatencyHistogram {
  const counts = new Uint32Array(BUCKETS);
  let count = 0;
  return {
    record(latencyMs) {
      counts[bucketOf(Math.min(LARGEST_MS, Math.max(0, latencyMs)))]! += 1;
      count += 1;
    },
    count: () => count,
    quantileMs(share) {
      const rank = Math.ceil(share * count);
      if (rank === 0) return 0;
      let below = 0;
      const bucket = counts.findIndex((inBucket) => {
        below += inBucket;
        return below >= rank;
      });
      return largestOf(bucket);
    },
    clear() {
      counts.fill(0);
      count = 0;
    },
  };
}

/** Below 16 each whole millisecond has its bucket. */
function bucketOf(latencyMs: number): number {
  const whole = latencyMs | 0;
  if (whole < SUB_BUCKETS) return whole;
  const shift = 31 - Math.clz32(whole) - SUB_BUCKET_BITS;
  return (shift + 1) * SUB_BUCKETS + ((whole >> shift) & (SUB_BUCKETS - 1));
}

function largestOf(bucket: number): number {
  if (bucket < SUB_BUCKETS) return bucket;
  const shift = Math.floor(bucket / SUB_BUCKETS) - 1;
  return (((bucket % SUB_BUCKETS) + SUB_BUCKETS + 1) << shift) - 1;
}
