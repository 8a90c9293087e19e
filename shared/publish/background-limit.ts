import pLimit from "p-limit";
import { createBackgroundWindow } from "../runtime/background-window.ts";

const MIN_UNDER_WAY = 2;

/**
 * At most `max` sends at once, and fewer as soon as they queue: whoever else sends to that broker feels the same queue.
 *
 * @param targetDelayMs what a send may take longer than the quickest, on average
 */
export function createBackgroundLimit(
  max: number,
  targetDelayMs: number,
): <T>(work: () => Promise<T>) => Promise<T> {
  const window = createBackgroundWindow({
    min: Math.min(MIN_UNDER_WAY, max),
    max: () => max,
    targetDelayMs: () => targetDelayMs,
    now: () => performance.now(),
  });
  const limit = pLimit(window.allowed());

  async function run<T>(work: () => Promise<T>): Promise<T> {
    const beganMs = performance.now();
    const tookMs = () => performance.now() - beganMs;
    try {
      const result = await work();
      window.observe(tookMs());
      return result;
    } catch (error) {
      // What fails at once was not sent, and for ten minutes every answer would be late beside it.
      if (tookMs() > targetDelayMs) window.observe(tookMs());
      throw error;
    } finally {
      limit.concurrency = window.allowed();
    }
  }

  return (work) => limit(() => run(work));
}
