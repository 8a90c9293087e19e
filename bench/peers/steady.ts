import { setTimeout as sleep } from "node:timers/promises";
import type { RealStack } from "../../test/support/real-stack.ts";
import { percentile } from "../figures.ts";
import { atRate } from "../latency.ts";
import type { Peer } from "./peer.ts";
import { steadyUpdates } from "./peer-updates.ts";

const WARM_UP_MS = 4_000;
const MEASURED_MS = 10_000;
const PROBE_EVERY_MS = 20;

/**
 * Publish to visible at a steady rate, with one consumer: every 20 ms one of the updates is of a user of its own, for
 * whom it takes the time until a reader sees the profile.
 */
export async function measureSteady(
  stack: RealStack,
  peer: Peer,
  { run, perSecond }: { run: string; perSecond: number },
): Promise<{ p50Ms: number; p99Ms: number }> {
  const opened = await peer.open(stack, run);
  const next = steadyUpdates();
  let probes = 0;
  const runFor = async (ms: number) => {
    const latenciesMs: number[] = [];
    let nextProbeMs = 0;
    await atRate(perSecond, sleep(ms), async (number, elapsedMs) => {
      const update = next(number);
      if (elapsedMs < nextProbeMs) return opened.publish(update);
      nextProbeMs += PROBE_EVERY_MS;
      probes += 1;
      const startedAtMs = performance.now();
      await opened.publishVisibly({ ...update, userId: `probe-${probes}`, seq: 1 });
      latenciesMs.push(performance.now() - startedAtMs);
    });
    return latenciesMs;
  };
  try {
    const consumer = await opened.startConsumer();
    await consumer.letGo();
    await runFor(WARM_UP_MS);
    const latenciesMs = await runFor(MEASURED_MS);
    consumer.kill("SIGTERM");
    await consumer.exited;
    return { p50Ms: percentile(latenciesMs, 0.5), p99Ms: percentile(latenciesMs, 0.99) };
  } finally {
    await opened.close();
  }
}
