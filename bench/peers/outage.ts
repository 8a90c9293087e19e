import { setTimeout as sleep } from "node:timers/promises";
import type { Update } from "../../shared/domain/envelope.ts";
import type { RealStack } from "../../test/support/real-stack.ts";
import { percentile } from "../figures.ts";
import { atRate } from "../latency.ts";
import { type Differences, differences } from "./differences.ts";
import { untilFewer } from "./kill.ts";
import type { Peer } from "./peer.ts";
import { markedUpdates } from "./peer-updates.ts";

const PER_SECOND = 200;
const USERS = 500;
const BEFORE_MS = 4_000;
const FROZEN_MS = 10_000;
const AFTER_MS = 4_000;

export type Outage = {
  /** Publishes that were begun while the broker was frozen. */
  begun: number;
  /** Those of them that succeeded while it still was. */
  publishedWhileFrozen: number;
  /** How long those that were begun meanwhile took. */
  publishP99Ms: number;
  /** Publishes that were given up, at any time. */
  failed: number;
  /** The profiles beside what was published, once nothing waits. */
  differences: Differences;
};

/** What a peer's updates wait in is frozen for ten seconds while somebody publishes at a steady rate. */
export async function measureOutage(stack: RealStack, peer: Peer, { run }: { run: string }): Promise<Outage> {
  const opened = await peer.open(stack, run);
  const next = markedUpdates(USERS);
  const published: Update[] = [];
  const publishes: { begunAtMs: number; endedAtMs: number }[] = [];
  let failed = 0;
  try {
    const consumer = await opened.startConsumer();
    await consumer.letGo();
    const load = atRate(PER_SECOND, sleep(BEFORE_MS + FROZEN_MS + AFTER_MS), async (number) => {
      const update = next(number);
      const begunAtMs = performance.now();
      try {
        await opened.publish(update);
        published.push(update);
        publishes.push({ begunAtMs, endedAtMs: performance.now() });
      } catch {
        failed += 1;
      }
    });
    await sleep(BEFORE_MS);
    opened.broker.kill("SIGSTOP");
    const frozenAtMs = performance.now();
    await sleep(FROZEN_MS);
    const thawedAtMs = performance.now();
    opened.broker.kill("SIGCONT");
    await load;
    await untilFewer(opened, 0);
    consumer.kill("SIGTERM");
    await consumer.exited;
    const meanwhile = publishes.filter(({ begunAtMs }) => begunAtMs >= frozenAtMs && begunAtMs < thawedAtMs);
    const userIds = [...new Set(published.map(({ userId }) => userId))];
    return {
      begun: meanwhile.length,
      publishedWhileFrozen: meanwhile.filter(({ endedAtMs }) => endedAtMs < thawedAtMs).length,
      publishP99Ms: percentile(
        meanwhile.map(({ begunAtMs, endedAtMs }) => endedAtMs - begunAtMs),
        0.99,
      ),
      failed,
      differences: differences(published, await opened.read(userIds)),
    };
  } finally {
    opened.broker.kill("SIGCONT");
    await opened.close();
  }
}
