import { setTimeout as sleep } from "node:timers/promises";

/** What may be made up for after a pause, so that a stall is not followed by a flood. */
const MAX_BEHIND_MS = 100;

/**
 * Spreads turns evenly over time, from now on: each call resolves when its turn has come, in the order of the calls,
 * `perSecond` of them a second, looked at each time. Rejects with an AbortError when the signal aborts before that.
 */
export function createPace(perSecond: () => number): (signal: AbortSignal) => Promise<void> {
  let dueMs = performance.now();
  return async (signal) => {
    signal.throwIfAborted();
    const nowMs = performance.now();
    const turnMs = Math.max(dueMs, nowMs - MAX_BEHIND_MS);
    dueMs = turnMs + 1_000 / perSecond();
    if (turnMs > nowMs) await sleep(turnMs - nowMs, undefined, { signal });
  };
}
