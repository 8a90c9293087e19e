import { setTimeout as sleep } from "node:timers/promises";

/** What may be made up for after a pause, so that a stall is not followed by a flood. */
const MAX_BEHIND_MS = 100;

/**
 * Spreads turns evenly over time, from now on: each call resolves when its turn has come, in the order of the calls,
 * `perSecond` of them a second. Rejects with an AbortError when the signal aborts before that.
 */
export function createPace(perSecond: number): (signal: AbortSignal) => Promise<void> {
  const intervalMs = 1_000 / perSecond;
  let dueMs = performance.now();
  return async (signal) => {
    signal.throwIfAborted();
    const nowMs = performance.now();
    const turnMs = Math.max(dueMs, nowMs - MAX_BEHIND_MS);
    dueMs = turnMs + intervalMs;
    if (turnMs > nowMs) await sleep(turnMs - nowMs, undefined, { signal });
  };
}
