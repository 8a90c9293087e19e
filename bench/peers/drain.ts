import { setTimeout as sleep } from "node:timers/promises";
import type { RealStack } from "../../test/support/real-stack.ts";
import { cpuSeconds, groupCpuSeconds } from "../process-usage.ts";
import { type Differences, differences } from "./differences.ts";
import type { Peer, PeerConsumer } from "./peer.ts";
import { firstUpdates } from "./peer-updates.ts";

/** The first tenth is not measured: a process compiles its code in that time. */
const UNMEASURED = 0.1;
/** Asking takes CPU of the process that is measured. */
const POLL_MS = 100;
/** A consumer that comes no further for so long is stuck. */
const PATIENCE_MS = 60_000;

export type Drained = {
  perSecond: number;
  /** CPU of the consumer's process an update. */
  cpuMicros: number;
  /** The same of each server. */
  serverCpuMicros: Record<string, number>;
  differences: Differences;
};

/** One consumer alone drains a backlog that waits already. */
export async function measureDrain(
  stack: RealStack,
  peer: Peer,
  { run, updates: count }: { run: string; updates: number },
): Promise<Drained> {
  const opened = await peer.open(stack, run);
  try {
    const updates = firstUpdates(count);
    await opened.fill(updates);
    const consumer = await opened.startConsumer();
    await consumer.letGo();
    const first = await appliedAfter(consumer, count * UNMEASURED);
    const usage = () => ({
      consumer: cpuSeconds(consumer.pid),
      servers: Object.entries(opened.servers).map(([name, { pid }]) => [name, groupCpuSeconds(pid)] as const),
    });
    const before = usage();
    const startedAtMs = performance.now();
    await appliedAfter(consumer, count - 1);
    const seconds = (performance.now() - startedAtMs) / 1_000;
    const after = usage();
    const applied = count - first;
    if (applied === 0)
      throw new Error(`${count} updates are too few: ${peer.name} applied them before it was asked`);
    const micros = (from: number, to: number) => ((to - from) / applied) * 1e6;
    consumer.kill("SIGTERM");
    await consumer.exited;
    const userIds = [...new Set(updates.map(({ userId }) => userId))];
    return {
      perSecond: applied / seconds,
      cpuMicros: micros(before.consumer, after.consumer),
      serverCpuMicros: Object.fromEntries(
        after.servers.map(([name, to], index) => [name, micros(before.servers[index]![1], to)]),
      ),
      differences: differences(updates, await opened.read(userIds)),
    };
  } finally {
    await opened.close();
  }
}

/** Waits until more than `floor` updates are applied, and returns how many. */
async function appliedAfter(consumer: PeerConsumer, floor: number): Promise<number> {
  let most = 0;
  let movedAtMs = performance.now();
  for (;;) {
    const applied = await consumer.applied();
    if (applied > floor) return applied;
    if (applied > most) {
      most = applied;
      movedAtMs = performance.now();
    }
    if (performance.now() - movedAtMs > PATIENCE_MS)
      throw new Error(`a consumer came no further than ${applied} updates, of more than ${floor}`);
    await sleep(POLL_MS);
  }
}
