/** The port to the token buckets that all gateways share, so that a limit holds for them together. */
import type { RateLimit } from "../domain/token-bucket.ts";

export type RateStore = {
  /**
   * Takes tokens from a bucket, all or none; a bucket that nobody has used is full. A limit may change from one call
   * to the next: what is in the bucket is then what has come since it was last empty, at the new rate, up to the new
   * burst. Each take counts for whole microseconds, rounded up: never more is taken than the limit allows, and what comes
   * in many takes may come as many microseconds late.
   *
   * @param bucket any text.
   * @param tokens more than 0.
   * @returns 0 when they were taken. Otherwise nothing is, and it is after how many milliseconds (whole, at least 1) as
   *   many are there, if nobody else takes any; `Number.POSITIVE_INFINITY` when they never are: more than `burst`, or
   *   `perSecond` is 0. JSON has no such number: look for it before an answer is written.
   * Rejects with `store_unavailable`; the tokens may have been taken all the same.
   */
  take(bucket: string, tokens: number, limit: RateLimit): Promise<number>;
  /**
   * Puts back what a `take` with the same arguments has just taken, and nobody used; a bucket never holds more than its
   * burst for it. Who was refused meanwhile was told too long a wait. Rejects with `store_unavailable`; the tokens may
   * be back all the same.
   */
  giveBack(bucket: string, tokens: number, limit: RateLimit): Promise<void>;
  close(): Promise<void>;
};
