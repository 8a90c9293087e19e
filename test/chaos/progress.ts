import { peakMemoryMb } from "../../bench/process-usage.ts";
import { getJson } from "../support/get-json.ts";
import type { ServiceProcess } from "../support/service-process.ts";

/** A time in which no service applied anything, by `performance.now()`. */
export type Gap = { fromMs: number; toMs: number };

export type Progress = {
  /** Updates are applied. */
  flows(): boolean;
  /** Those over a second since they flow, the longest first. */
  gaps(): Gap[];
  /** The most memory that any one service had. */
  peakMemoryMb(): number;
  stop(): void;
};

const EVERY_MS = 200;
const ANSWER_MS = 1_000;
const GAP_MS = 1_000;

/** Samples the services' counters and their memory; a gap is known to within one sample of each end. */
export function watchProgress(consumers: () => ServiceProcess[]): Progress {
  const counted = new Map<number, number>();
  const asked = new Set<number>();
  const gaps: Gap[] = [];
  let lastMs: number | undefined;
  let peakMb = 0;

  function moved(): void {
    const nowMs = performance.now();
    if (lastMs !== undefined && nowMs - lastMs > GAP_MS) gaps.push({ fromMs: lastMs, toMs: nowMs });
    lastMs = nowMs;
  }

  async function sample({ pid, adminUrl }: ServiceProcess): Promise<void> {
    if (asked.has(pid)) return;
    asked.add(pid);
    try {
      peakMb = Math.max(peakMb, peakMemoryMb(pid) || 0);
      const { counters } = (await getJson(`${adminUrl}/admin/breaker`, ANSWER_MS)) as {
        counters: { counted: { pulsar: number; sqs: number } };
      };
      const total = counters.counted.pulsar + counters.counted.sqs;
      if (total > (counted.get(pid) ?? 0)) moved();
      counted.set(pid, total);
    } catch {
      // Frozen, or gone: it says nothing.
    } finally {
      asked.delete(pid);
    }
  }

  const timer = setInterval(() => {
    for (const consumer of consumers()) void sample(consumer);
  }, EVERY_MS);
  return {
    flows: () => lastMs !== undefined,
    gaps: () => gaps.toSorted((a, b) => b.toMs - b.fromMs - (a.toMs - a.fromMs)),
    peakMemoryMb: () => peakMb,
    stop: () => clearInterval(timer),
  };
}
