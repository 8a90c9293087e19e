import { setTimeout as sleep } from "node:timers/promises";
import type { ConnectedPublisher } from "../shared/publish/connect-publisher.ts";
import type { RealStack } from "../test/support/real-stack.ts";
import { counted } from "./end-to-end.ts";
import { type Figures, percentile } from "./figures.ts";
import { atRate } from "./latency.ts";
import { benchOperations } from "./updates.ts";

const PER_SECOND = 300;
const BEFORE_MS = 3_000;
const FROZEN_MS = 12_000;

/**
 * Freezes the broker under load. Measures the time until the first update is applied over SQS, until the
 * route is sqs, and how long publishing took for what was begun while the broker was frozen.
 */
export async function measureFailover(
  stack: RealStack,
  publisher: ConnectedPublisher,
  adminUrl: string,
  figures: Figures,
): Promise<void> {
  const latenciesMs: number[] = [];
  let frozenAtMs = Number.POSITIVE_INFINITY;
  const load = atRate(PER_SECOND, sleep(BEFORE_MS + FROZEN_MS), async (number) => {
    const startedAtMs = performance.now();
    await publisher.publish({
      tenant: "failover",
      userId: `user-${number % 1_000}`,
      ops: benchOperations(number),
    });
    if (startedAtMs >= frozenAtMs) latenciesMs.push(performance.now() - startedAtMs);
  });
  await sleep(BEFORE_MS);
  const { sqs: before } = await counted(adminUrl);
  stack.pulsar().kill("SIGSTOP");
  frozenAtMs = performance.now();
  const since = () => performance.now() - frozenAtMs;
  let routeMs: number | undefined;
  let applyMs: number | undefined;
  while (routeMs === undefined || applyMs === undefined) {
    if (publisher.routing.router.route().path === "sqs") routeMs ??= since();
    if ((await counted(adminUrl)).sqs > before) applyMs ??= since();
    await sleep(5);
  }
  await load;
  stack.pulsar().kill("SIGCONT");
  const thawedAtMs = performance.now();
  while (publisher.routing.router.route().path !== "pulsar") await sleep(20);
  figures.add("failover.updatesPerSecond", PER_SECOND, "updates/s");
  figures.add("failover.firstFallbackApply", applyMs, "ms");
  figures.add("failover.routeChange", routeMs, "ms");
  figures.add("failover.publishP50", percentile(latenciesMs, 0.5), "ms");
  figures.add("failover.publishP99", percentile(latenciesMs, 0.99), "ms");
  figures.add("failover.publishMax", Math.max(...latenciesMs), "ms");
  figures.add("failover.failed", publisher.counts().failed, "updates");
  figures.add("failover.backOnPulsar", performance.now() - thawedAtMs, "ms");
}
