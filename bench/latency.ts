import { setTimeout as sleep } from "node:timers/promises";
import { openStores } from "../shared/adapters/open.ts";
import type { ConnectedPublisher } from "../shared/publish/connect-publisher.ts";
import type { RealStack } from "../test/support/real-stack.ts";
import { type Figures, percentile } from "./figures.ts";
import { benchOperations, type Users } from "./updates.ts";

/** Until then a broker that has just started is busy compiling what live updates pass, and falls behind. */
const WARM_UP_MS = 90_000;
const MEASURED_MS = 15_000;
const PROBE_EVERY_MS = 20;

const inTurn: Users = (number) => `user-${number % 100_000}`;

export type Probes = {
  /**
   * Publishes at a steady rate until `ends`, and measures from the call of `publish` until a reader of Redis sees the
   * update: every 20 ms one of the updates is of a user of its own, for whom Redis is asked once a millisecond.
   * @param userOf whose the others are. Default: 100,000 users in turn.
   * @returns the latencies in milliseconds.
   */
  run(perSecond: number, ends: Promise<unknown>, userOf?: Users): Promise<number[]>;
  close(): Promise<void>;
};

export async function openProbes(stack: RealStack, publisher: ConnectedPublisher): Promise<Probes> {
  const { store, connection } = openStores({
    redisUrl: stack.urls.redis,
    redisKeyPrefix: "kl:",
    redisCommandTimeoutMs: 5_000,
  });
  while ((await store.ping().catch(() => "away")) === "away") await sleep(20);
  let probes = 0;
  const probe = async (userId: string) => {
    const startedAtMs = performance.now();
    await publisher.publish({ tenant: "bench", userId, ops: benchOperations(0) });
    while (!(await store.load({ tenant: "bench", userId }))) await sleep(1);
    return performance.now() - startedAtMs;
  };
  return {
    async run(perSecond, ends, userOf = inTurn) {
      const latenciesMs: number[] = [];
      let nextProbeMs = 0;
      await atRate(perSecond, ends, async (number, elapsedMs) => {
        if (elapsedMs >= nextProbeMs) {
          nextProbeMs += PROBE_EVERY_MS;
          probes += 1;
          latenciesMs.push(await probe(`probe-${probes}`));
          return;
        }
        await publisher.publish({ tenant: "bench", userId: userOf(number), ops: benchOperations(number) });
      });
      return latenciesMs;
    },
    async close() {
      await store.close();
      await connection.close();
    },
  };
}

/**
 * Publish to visible at a steady rate, after 90 s of it.
 *
 * @param load.name what its figures' names begin with.
 */
export async function measureLatency(
  probes: Probes,
  { name, perSecond }: { name: string; perSecond: number },
  figures: Figures,
): Promise<void> {
  await probes.run(perSecond, sleep(WARM_UP_MS));
  const latenciesMs = await probes.run(perSecond, sleep(MEASURED_MS));
  figures.add(`${name}.updatesPerSecond`, perSecond, "updates/s");
  figures.add(`${name}.p50`, percentile(latenciesMs, 0.5), "ms");
  figures.add(`${name}.p99`, percentile(latenciesMs, 0.99), "ms");
}

/** Starts work at a steady rate until `ends`, and waits for all of it. */
export async function atRate(
  perSecond: number,
  ends: Promise<unknown>,
  start: (number: number, elapsedMs: number) => Promise<unknown>,
): Promise<void> {
  const startedAtMs = performance.now();
  const underWay = new Set<Promise<unknown>>();
  const failures: unknown[] = [];
  let number = 0;
  let ended = false;
  const ending = ends.finally(() => {
    ended = true;
  });
  while (!ended) {
    const elapsedMs = performance.now() - startedAtMs;
    for (; number < (elapsedMs * perSecond) / 1_000; number += 1) {
      const work: Promise<unknown> = start(number, elapsedMs)
        .catch((error: unknown) => failures.push(error))
        .finally(() => underWay.delete(work));
      underWay.add(work);
    }
    await sleep(1);
  }
  await ending;
  await Promise.all(underWay);
  if (failures.length > 0) console.error(`  ${failures.length} failed, the first: ${failures[0]}`);
}
