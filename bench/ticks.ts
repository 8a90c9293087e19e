import { setTimeout as sleep } from "node:timers/promises";
import { TAKEN_UP_WITHIN_MS } from "../shared/domain/definitions/tenant-definitions.ts";
import type { AnnouncedChange } from "../shared/domain/membership-change.ts";
import type { ConnectedPublisher } from "../shared/publish/connect-publisher.ts";
import { topicsOf } from "../shared/runtime/topics.ts";
import type { RealStack } from "../test/support/real-stack.ts";
import { define } from "./definitions.ts";
import { type Figures, percentile } from "./figures.ts";
import { openBenchQueue, untilConnected } from "./updates-topic.ts";

const TENANT = "ticks";
const USERS = 2_000;
/** The memberships end one after the other over this time, the first after as long. */
const SPREAD_MS = 5_000;

/**
 * Memberships that end by time alone, 400 a second: from the moment at which each ends to that at which a consumer of the
 * topic `changes` has it.
 */
export async function measureTicks(
  stack: RealStack,
  publisher: ConnectedPublisher,
  figures: Figures,
): Promise<void> {
  await define(stack.environment.REDIS_URL!, "kl:", TENANT, {
    attributes: {},
    audiences: { trying: { rule: "now < timestamp(trial_ends)" } },
  });
  // Until the definitions are taken up an update is folded without them, and its user waits for the next one.
  await sleep(2 * TAKEN_UP_WITHIN_MS);
  const queue = await openBenchQueue(stack.environment.PULSAR_URL!);
  const consumer = queue.consumer({
    topic: topicsOf("public/keyline").changes,
    subscription: "bench-ticks",
    connections: 4,
    maxPrefetched: 1_000,
  });
  await untilConnected(consumer);
  const startMs = Date.now() + SPREAD_MS;
  const latenessMs: number[] = [];
  const reading = (async () => {
    while (latenessMs.length < USERS) {
      const deliveries = await consumer.receive(500);
      const nowMs = Date.now();
      for (const { payload } of deliveries) {
        const { tenant, change, at } = JSON.parse(payload) as AnnouncedChange;
        if (tenant === TENANT && change === "left") latenessMs.push(nowMs - at);
      }
      await consumer.acknowledge(deliveries);
    }
  })();
  await Promise.all(
    Array.from({ length: USERS }, (_, n) => {
      const ends = new Date(startMs + (n / USERS) * SPREAD_MS).toISOString();
      return publisher.user(TENANT, `user-${n}`).set({ trial_ends: ends });
    }),
  );
  await reading;
  await consumer.close();
  await queue.close();
  figures.add("ticks.perSecond", (USERS / SPREAD_MS) * 1_000, "memberships that end/s");
  figures.add("ticks.lateP50", percentile(latenessMs, 0.5), "ms");
  figures.add("ticks.lateP99", percentile(latenessMs, 0.99), "ms");
  figures.add("ticks.lateLongest", Math.max(...latenessMs), "ms");
}
