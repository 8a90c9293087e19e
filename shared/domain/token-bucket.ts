/**
 * A token bucket by the generic cell rate algorithm (GCRA), in its form as virtual scheduling: ITU-T I.371, annex A;
 * for requests instead of cells https://brandur.org/rate-limiting.
 *
 * A bucket is one number. GCRA keeps the theoretical arrival time, when the bucket is full again; here it is that less
 * the tolerance, the time that an empty bucket takes to fill: the moment at which the bucket would have been empty,
 * from which on it has filled since. Under one limit the two are the same rule. When the limit changes, an empty bucket
 * is still an empty one, and fills at the new rate.
 *
 * All times are whole microseconds. Each take is rounded up to one, so that never more is taken than the limit allows,
 * and a take comes at most a microsecond too late for each one before it.
 */

export type RateLimit = {
  /** Tokens that come back a second; a fraction is fine, 0 stands for none ever. */
  perSecond: number;
  /** Tokens in a full bucket. */
  burst: number;
};

export type TokenPrice = {
  /** Microseconds that the tokens take to come back; at least 1. */
  costUs: number;
  /** Microseconds that an empty bucket takes to fill; at least `costUs`. */
  fillUs: number;
};

/**
 * About 30 years, more than which nobody waits for: a moment as far ahead is still exact in a double, and an expiry that
 * Redis takes.
 */
const longestFillUs = 1e15;

/**
 * @param tokens more than 0.
 * @returns undefined for what no wait makes possible: more than the burst, or no rate.
 */
export function priceTokens(tokens: number, { perSecond, burst }: RateLimit): TokenPrice | undefined {
  const costUs = Math.ceil((tokens * 1e6) / perSecond);
  // Written so that it refuses NaN.
  if (!(tokens > 0 && tokens <= burst && perSecond > 0 && costUs <= longestFillUs)) return undefined;
  return { costUs, fillUs: Math.min(Math.ceil((burst * 1e6) / perSecond), longestFillUs) };
}

export type Taken = {
  /** The bucket from now on, in microseconds since the epoch. */
  emptyUs: number;
  /** Whole milliseconds until as many tokens are there, at least 1; 0 when they were taken. */
  waitMs: number;
};

/** @param emptyUs the bucket; undefined for a full one. After a step back of the clock it may be later than now. */
export function takeTokens(emptyUs: number | undefined, nowUs: number, price: TokenPrice): Taken {
  const { costUs, fillUs } = price;
  const beforeUs = Math.max(Math.min(emptyUs ?? 0, nowUs), nowUs - fillUs);
  const afterUs = beforeUs + costUs;
  if (afterUs <= nowUs) return { emptyUs: afterUs, waitMs: 0 };
  return { emptyUs: beforeUs, waitMs: Math.ceil((afterUs - nowUs) / 1_000) };
}
