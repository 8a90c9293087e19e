import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { MAX_PREFETCHED } from "../services/audience-update/open-consumers.ts";
import type { RealStack } from "../test/support/real-stack.ts";
import { startService } from "../test/support/service-process.ts";
import { until } from "../test/support/until.ts";
import { cpuSeconds, monotonicMicros, peakMemoryMb, type Window } from "./process-usage.ts";
import { serverUsage } from "./server-usage.ts";

const CONNECTIONS = 4;

/** The first tenth is not measured, raw or applied: a process compiles its code in that time. */
const UNMEASURED = 0.1;

/** Asking takes CPU of the process that is measured. */
const POLL_MS = 100;

/** How fast the same client drains the same messages when it only receives and acknowledges. */
export async function measureRawDrain(
  stack: RealStack,
  subscription: string,
  messages: number,
  onConnected: () => Promise<void>,
): Promise<{ perSecond: number; cpuMicros: number }> {
  const task = JSON.stringify({
    messages,
    unmeasured: messages * UNMEASURED,
    subscription,
    connections: CONNECTIONS,
    maxPrefetched: MAX_PREFETCHED,
  });
  const drain = spawn(process.execPath, ["bench/raw-drain-process.ts", task], {
    env: { ...process.env, ...stack.environment },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = createInterface(drain.stdout)[Symbol.asyncIterator]();
  await lines.next();
  await onConnected();
  const figures: IteratorResult<string> = await lines.next();
  if (figures.done) throw new Error("the raw drain ended without figures");
  return JSON.parse(figures.value) as { perSecond: number; cpuMicros: number };
}

/** What a drain of a backlog by the service took; CPU an update, and what the servers used. */
export type Applied = {
  appliedPerSecond: number;
  cpuMicros: number;
  brokerMicros: number;
  redisMicros: number;
  peakMemoryMb: number;
  /** What was measured. */
  window: Window;
};

/**
 * How fast a service process applies the same backlog to Redis, read by a subscription of its own.
 *
 * @param environment of the service, beside what it needs.
 */
export async function measureEndToEnd(
  stack: RealStack,
  subscription: string,
  updates: number,
  onConnected: () => Promise<void>,
  environment: Record<string, string> = {},
): Promise<Applied> {
  const service = await startService(
    {
      ...stack.environment,
      PULSAR_CONNECTIONS: String(CONNECTIONS),
      PULSAR_SUBSCRIPTION: subscription,
      REDIS_KEY_PREFIX: `${subscription}:`,
      ...environment,
    },
    "/dev/null",
  );
  await untilReady(service.adminUrl);
  await onConnected();
  const first = await countedAfter(service.adminUrl, updates * UNMEASURED);
  const usedBefore = await serverUsage(stack);
  const fromMicros = monotonicMicros();
  const startedCpu = cpuSeconds(service.pid);
  await countedAfter(service.adminUrl, updates - 1);
  const window = { fromMicros, toMicros: monotonicMicros() };
  const used = await serverUsage(stack);
  const seconds = (window.toMicros - window.fromMicros) / 1e6;
  const applied = updates - first;
  const each = (cpu: number) => (cpu / applied) * 1e6;
  const measured = {
    appliedPerSecond: applied / seconds,
    cpuMicros: each(cpuSeconds(service.pid) - startedCpu),
    brokerMicros: each(used.brokerSeconds - usedBefore.brokerSeconds),
    redisMicros: each(used.redisSeconds - usedBefore.redisSeconds),
    peakMemoryMb: peakMemoryMb(service.pid),
    window,
  };
  service.kill("SIGTERM");
  await service.exited;
  return measured;
}

/** Whoever holds the subscription holds all key groups: nothing is counted before it has let go. */
async function untilReady(adminUrl: string): Promise<void> {
  await until("the service is ready", async () => (await fetch(`${adminUrl}/readyz`)).ok);
}

/** Waits until more than `floor` updates are counted, and returns how many. */
async function countedAfter(adminUrl: string, floor: number): Promise<number> {
  for (;;) {
    const { pulsar, sqs } = await counted(adminUrl);
    if (pulsar + sqs > floor) return pulsar + sqs;
    await sleep(POLL_MS);
  }
}

/** Updates that a service has counted since it started, by path. */
export async function counted(adminUrl: string): Promise<Counters["counted"]> {
  return (await countersOf(adminUrl)).counted;
}

type Counters = { counted: { pulsar: number; sqs: number }; ledger: { kept: number } };

/** What a service has counted since it started. */
export async function countersOf(adminUrl: string): Promise<Counters> {
  const response = await fetch(`${adminUrl}/admin/breaker`);
  const { counters } = (await response.json()) as { counters: Counters };
  return counters;
}
