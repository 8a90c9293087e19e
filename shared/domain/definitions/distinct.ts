import type { Aggregate, State } from "./aggregate.ts";

/**
 * How many different values: exact while a bucket holds few, then a sample of them by their hash (distinct sampling:
 * Gibbons, "Distinct Sampling for Highly-Accurate Answers", 2001). A bucket at level L keeps the values whose hash
 * ends in L zero bits, which is one in 2^L. The level only depends on which values came, not on their order.
 */
const MAX_EXACT = 256;
const MAX_EXACT_IN_BUCKET = 64;
/** Hashes have 48 bits, so that 256 of them collide once in 10^10 users. */
const HASH_BITS = 48;

/** A bucket: its number, its level, its hashes in rising order. */
type Bucket = readonly [bucket: number, level: number, ...hashes: number[]];

export const distinctOf: Aggregate = {
  takes: "value",
  windowed: true,
  type: "int",
  maxLength: (buckets) => buckets * (20 + 16 * (buckets > 1 ? MAX_EXACT_IN_BUCKET : MAX_EXACT)),
  add(state = [], { bucket, json }, limit) {
    const at = state.findLastIndex((each) => (each as Bucket)[0] <= bucket);
    const found = at >= 0 ? (state[at] as Bucket) : undefined;
    if (found?.[0] !== bucket) return state.toSpliced(at + 1, 0, [bucket, 0, hashOf(json)]);
    const grown = withHash(found, hashOf(json), limit);
    return grown === found ? state : state.with(at, grown);
  },
  expire(state, first) {
    const from = state.findIndex((each) => (each as Bucket)[0] >= first);
    if (from === 0) return state;
    return from < 0 ? undefined : state.slice(from);
  },
  oldest: (state) => (state[0] as Bucket)[0],
  value: (state = []) => estimate(state),
};

/** What a bucket keeps at most; stands in the place of the definition's limit. */
export function distinctLimit(windowed: boolean): number {
  return windowed ? MAX_EXACT_IN_BUCKET : MAX_EXACT;
}

function withHash(bucket: Bucket, hash: number, limit: number): Bucket {
  const [number, level, ...hashes] = bucket;
  if (levelOf(hash) < level || hashes.includes(hash)) return bucket;
  let kept = [...hashes, hash].sort((a, b) => a - b);
  let raised = level;
  while (kept.length > limit) {
    raised += 1;
    kept = kept.filter((each) => levelOf(each) >= raised);
  }
  return [number, raised, ...kept];
}

/** The union of all buckets, at the highest of their levels. */
function estimate(state: State): number {
  const level = Math.max(0, ...state.map((each) => (each as Bucket)[1]));
  const union = new Set<number>();
  for (const [, , ...hashes] of state as Bucket[])
    for (const hash of hashes) if (levelOf(hash) >= level) union.add(hash);
  return union.size * 2 ** level;
}

/** Zero bits at the end. */
function levelOf(hash: number): number {
  let level = 0;
  for (let rest = hash; level < HASH_BITS && rest % 2 === 0; rest /= 2) level += 1;
  return level;
}

/** Two FNV-like lanes with a final mix (cyrb53 by bryc, public domain), cut to 48 bits. */
function hashOf(text: string): number {
  let a = 0xdeadbeef;
  let b = 0x41c6ce57;
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index);
    a = Math.imul(a ^ unit, 2_654_435_761);
    b = Math.imul(b ^ unit, 1_597_334_677);
  }
  a = Math.imul(a ^ (a >>> 16), 2_246_822_507) ^ Math.imul(b ^ (b >>> 13), 3_266_489_909);
  b = Math.imul(b ^ (b >>> 16), 2_246_822_507) ^ Math.imul(a ^ (a >>> 13), 3_266_489_909);
  return (b & 0xffff) * 0x1_0000_0000 + (a >>> 0);
}
