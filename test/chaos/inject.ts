/** A schedule of faults, done as it says. */
import { setTimeout as sleep } from "node:timers/promises";
import type { InjectedFault } from "./report.ts";
import { type Action, type Fault, MAX_AT_ONCE, nameOf, partsOf } from "./schedule.ts";

export type Injecting = {
  /** Resolves when what was broken works again. */
  carryOut(action: Action, durationMs: number): Promise<void>;
  report(line: string): void;
};

/**
 * Each fault at its time. Where recovery takes longer than the schedule knows (a broker that starts again), the
 * faults after it move back, so that there are never more at once; what would begin after `totalMs` is left out.
 *
 * Rejects with the first fault that fails, such as a broker that does not start again: no other one begins, and
 * those under way have ended, so that none starts a process after all is ended.
 */
export async function injectAll(
  schedule: readonly Fault[],
  totalMs: number,
  { carryOut, report }: Injecting,
): Promise<InjectedFault[]> {
  const beganMs = performance.now();
  const sinceMs = () => performance.now() - beganMs;
  const failed = new AbortController();
  const busy = new Map<string, Promise<unknown>>();
  const active = new Set<Promise<unknown>>();
  const injected: Promise<InjectedFault>[] = [];
  let lateMs = 0;

  async function inject(action: Action, durationMs: number): Promise<InjectedFault> {
    const startedMs = sinceMs();
    await carryOut(action, durationMs);
    return { action, startedMs, endedMs: sinceMs() };
  }

  for (const { startMs, durationMs, action } of schedule) {
    await sleepUnless(failed.signal, startMs + lateMs - sinceMs());
    const parts = partsOf(action);
    await Promise.all(parts.map((part) => busy.get(part)));
    while (active.size >= MAX_AT_ONCE) await Promise.race(active);
    lateMs = sinceMs() - startMs;
    if (sinceMs() > totalMs || failed.signal.aborted) break;
    report(`${(sinceMs() / 1000).toFixed(1)} s: ${nameOf(action)} for ${durationMs} ms`);
    const injecting = inject(action, durationMs);
    injected.push(injecting);
    const over = injecting.catch(() => failed.abort()).finally(() => active.delete(over));
    active.add(over);
    for (const part of parts) busy.set(part, over);
  }
  await Promise.allSettled(injected);
  return Promise.all(injected);
}

async function sleepUnless(signal: AbortSignal, ms: number): Promise<void> {
  try {
    await sleep(Math.max(0, ms), undefined, { signal });
  } catch (thrown) {
    if (!signal.aborted) throw thrown;
  }
}
