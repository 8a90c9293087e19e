import { setTimeout as sleep } from "node:timers/promises";
import { openStores } from "../shared/adapters/open.ts";
import type { ConnectedPublisher } from "../shared/publish/connect-publisher.ts";
import type { RealStack } from "../test/support/real-stack.ts";
import { type Figures, percentile } from "./figures.ts";
import { benchOperations } from "./updates.ts";

const WARM_UP_MS = 5_000;
const MEASURED_MS = 15_000;
const PROBE_EVERY_MS = 20;

/**
 * From the call of `publish` until a reader of Redis sees the update, at a steady rate. Every 20 ms one update
 * of the stream is of a user of its own, for whom Redis is asked once a millisecond.
 */
export async function measureLatency(
  stack: RealStack,
  publisher: ConnectedPublisher,
  perSecond: number,
  figures: Figures,
): Promise<void> {
  const { store, connection } = openStores({
    redisUrl: stack.urls.redis,
    redisKeyPrefix: "kl:",
    redisCommandTimeoutMs: 5_000,
  });
  while ((await store.ping().catch(() => "away")) === "away") await sleep(20);
  const latenciesMs: number[] = [];
  const probe = async (userId: string) => {
    const startedAtMs = performance.now();
    await publisher.publish({ tenant: "bench", userId, ops: benchOperations(0) });
    while (!(await store.load({ tenant: "bench", userId }))) await sleep(1);
    latenciesMs.push(performance.now() - startedAtMs);
  };
  const run = async (name: string, forMs: number) => {
    let probes = 0;
    await atRate(perSecond, forMs, (number, elapsedMs) => {
      if (elapsedMs >= probes * PROBE_EVERY_MS) {
        probes += 1;
        return probe(`probe-${name}-${probes}`);
      }
      return publisher.publish({
        tenant: "bench",
        userId: `user-${number % 100_000}`,
        ops: benchOperations(number),
      });
    });
  };
  await run("warm-up", WARM_UP_MS);
  latenciesMs.length = 0;
  await run("measured", MEASURED_MS);
  await store.close();
  await connection.close();
  figures.add("latency.updatesPerSecond", perSecond, "updates/s");
  figures.add("latency.p50", percentile(latenciesMs, 0.5), "ms");
  figures.add("latency.p99", percentile(latenciesMs, 0.99), "ms");
}

/** Starts work at a steady rate for some time, and waits for all of it. */
export async function atRate(
  perSecond: number,
  forMs: number,
  start: (number: number, elapsedMs: number) => Promise<unknown>,
): Promise<void> {
  const startedAtMs = performance.now();
  const underWay = new Set<Promise<unknown>>();
  const failures: unknown[] = [];
  let number = 0;
  for (let elapsedMs = 0; elapsedMs < forMs; elapsedMs = performance.now() - startedAtMs) {
    for (; number < (elapsedMs * perSecond) / 1_000; number += 1) {
      const work: Promise<unknown> = start(number, elapsedMs)
        .catch((error: unknown) => failures.push(error))
        .finally(() => underWay.delete(work));
      underWay.add(work);
    }
    await sleep(1);
  }
  await Promise.all(underWay);
  if (failures.length > 0) console.log(`  ${failures.length} failed, the first: ${failures[0]}`);
}
