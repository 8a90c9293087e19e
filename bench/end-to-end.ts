import { execFile } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import type { RealStack } from "../test/support/real-stack.ts";
import { startService } from "../test/support/service-process.ts";
import type { Figures } from "./figures.ts";
import { cpuSeconds, peakMemoryMb } from "./process-usage.ts";

export const CONNECTIONS = 4;
const MAX_PREFETCHED = 2_000;

/** How fast the same client drains the same messages when it only receives and acknowledges. */
export async function measureRawDrain(
  stack: RealStack,
  subscription: string,
  messages: number,
): Promise<{ perSecond: number; cpuMicros: number }> {
  const task = JSON.stringify({
    messages,
    subscription,
    connections: CONNECTIONS,
    maxPrefetched: MAX_PREFETCHED,
  });
  const { stdout } = await promisify(execFile)(process.execPath, ["bench/raw-drain-process.ts", task], {
    env: { ...process.env, ...stack.environment },
  });
  return JSON.parse(stdout) as { perSecond: number; cpuMicros: number };
}

/** How fast a service process applies the same backlog to Redis. */
export async function measureEndToEnd(
  stack: RealStack,
  updates: number,
  figures: Figures,
): Promise<{ appliedPerSecond: number }> {
  const service = await startService(
    { ...stack.environment, PULSAR_CONNECTIONS: String(CONNECTIONS) },
    "/dev/null",
  );
  const first = await countedAfter(service.adminUrl, 0);
  const startedAtMs = performance.now();
  const startedCpu = cpuSeconds(service.pid);
  await countedAfter(service.adminUrl, updates - 1);
  const seconds = (performance.now() - startedAtMs) / 1_000;
  const applied = updates - first;
  const appliedPerSecond = applied / seconds;
  figures.add("endToEnd.appliedPerSecond", appliedPerSecond, "updates/s");
  figures.add("endToEnd.cpuMicros", ((cpuSeconds(service.pid) - startedCpu) / applied) * 1e6, "us/update");
  figures.add("endToEnd.peakMemory", peakMemoryMb(service.pid), "MB");
  service.kill("SIGTERM");
  await service.exited;
  return { appliedPerSecond };
}

/** Waits until more than `floor` updates are counted, and returns how many. */
async function countedAfter(adminUrl: string, floor: number): Promise<number> {
  for (;;) {
    const { pulsar, sqs } = await counted(adminUrl);
    if (pulsar + sqs > floor) return pulsar + sqs;
    await sleep(50);
  }
}

/** Updates that a service has counted since it started, by path. */
export async function counted(adminUrl: string): Promise<{ pulsar: number; sqs: number }> {
  const response = await fetch(`${adminUrl}/admin/breaker`);
  const { counters } = (await response.json()) as {
    counters: { counted: { pulsar: number; sqs: number } };
  };
  return counters.counted;
}
