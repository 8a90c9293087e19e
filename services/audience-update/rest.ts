const FIRST_REST_MS = 20;
const LONGEST_REST_MS = 1_000;

/**
 * How long to rest after `failures` failures in a row, in milliseconds: exponential with full jitter (Brooker,
 * "Exponential Backoff And Jitter", 2015).
 */
export function restMs(failures: number): number {
  return FIRST_REST_MS + Math.random() * Math.min(LONGEST_REST_MS, FIRST_REST_MS * 2 ** failures);
}
