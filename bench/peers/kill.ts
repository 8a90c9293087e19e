import { setTimeout as sleep } from "node:timers/promises";
import type { RealStack } from "../../test/support/real-stack.ts";
import { type Differences, differences } from "./differences.ts";
import type { OpenPeer, Peer } from "./peer.ts";
import { markedUpdates } from "./peer-updates.ts";

const USERS = 5_000;
const KILLS = 2;
const POLL_MS = 100;
/** Longer than the visibility timeout and the checks for stalled jobs, which are 30 s each. */
const PATIENCE_MS = 100_000;

export type Killed = {
  differences: Differences;
  overlapped: number | undefined;
  /** Updates that wait still when nobody has taken one for 100 s; they count among the lost ones. */
  stuck: number;
};

/**
 * Consumers drain a backlog together; at one third and at two thirds of it one is killed by SIGKILL and started again at
 * once. Tells how the profiles differ once nothing waits any more.
 */
export async function measureKill(
  stack: RealStack,
  peer: Peer,
  { run, updates: count }: { run: string; updates: number },
): Promise<Killed> {
  const opened = await peer.open(stack, run);
  try {
    const updates = Array.from({ length: count }, (_, number) => number).map(markedUpdates(USERS));
    await opened.fill(updates);
    const start = () => opened.startConsumer({ traced: true });
    const consumers = [await start()];
    while (consumers.length < opened.maxConsumers) consumers.push(await start());
    for (const consumer of consumers) await consumer.letGo();
    for (let kill = 0; kill < KILLS; kill += 1) {
      await untilFewer(opened, count * (1 - (kill + 1) / (KILLS + 1)));
      const killed = kill % consumers.length;
      consumers[killed]!.kill("SIGKILL");
      await consumers[killed]!.exited;
      consumers[killed] = await start();
      await consumers[killed].letGo();
    }
    await untilFewer(opened, 0);
    const stuck = await opened.waiting();
    for (const consumer of consumers) consumer.kill("SIGTERM");
    await Promise.all(consumers.map(({ exited }) => exited));
    const userIds = [...new Set(updates.map(({ userId }) => userId))];
    return {
      differences: differences(updates, await opened.read(userIds)),
      overlapped: await opened.overlapped?.(),
      stuck,
    };
  } finally {
    await opened.close();
  }
}

/** Waits until at most so many updates wait, for as long as they become less. */
export async function untilFewer(opened: OpenPeer, most: number): Promise<void> {
  let least = Number.POSITIVE_INFINITY;
  let movedAtMs = performance.now();
  for (;;) {
    const waiting = await opened.waiting();
    if (waiting <= most) return;
    if (waiting < least) {
      least = waiting;
      movedAtMs = performance.now();
    }
    if (performance.now() - movedAtMs > PATIENCE_MS) {
      console.log(`  ${waiting} updates still wait, and nobody takes them`);
      return;
    }
    await sleep(POLL_MS);
  }
}
