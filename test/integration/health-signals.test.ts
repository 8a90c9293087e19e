import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createPulsarAdmin } from "../../shared/adapters/pulsar-admin/pulsar-admin.ts";
import { createSubscriptionReader } from "../../shared/adapters/pulsar-admin/subscription-stats.ts";
import { createPulsarWebSocket } from "../../shared/adapters/pulsar-websocket/pulsar-websocket.ts";
import type { PrimaryQueue } from "../../shared/ports/primary-queue.ts";
import type { Signal } from "../../shared/routing/signal.ts";
import { topicsOf } from "../../shared/runtime/topics.ts";
import { type RealStack, startRealStack } from "../support/real-stack.ts";
import { type ServiceProcess, startService } from "../support/service-process.ts";
import { until as untilWithin } from "../support/until.ts";

const topics = topicsOf("public/keyline");
const until = (what: string, condition: () => boolean | Promise<boolean>) =>
  untilWithin(what, condition, { patienceMs: 90_000, everyMs: 200 });

type Status = {
  route: string;
  local: { state: string; reason: string; openings: number };
  signals: Signal[];
};

/** Each test leaves the broker well, but for the last. */
describe("the health signals of a real broker", () => {
  const directory = mkdtempSync(join(tmpdir(), "keyline-signals-"));
  let stack: RealStack;
  let service: ServiceProcess;
  let queue: PrimaryQueue;

  beforeAll(async () => {
    stack = await startRealStack({ partitions: 4, tuning: "quick", report: () => {} });
    queue = createPulsarWebSocket({ url: stack.environment.PULSAR_URL! });
    service = await startService(
      {
        ...stack.environment,
        PULSAR_ADMIN_URL: stack.urls.admin,
        SEND_LATENCY_WINDOW_MS: "1000",
        SEND_LATENCY_MIN_SENDS: "4",
        // A busy machine is not a sick broker; that is tested by a simulated clock.
        SEND_LATENCY_FLOOR_MS: "60000",
        BROKER_STATS_INTERVAL_MS: "300",
        MAX_UNACKNOWLEDGED_AGE_MS: "2000",
        SUBSCRIPTION_STALL_MS: "1000",
      },
      join(directory, "service.log"),
    );
  }, 300_000);

  afterAll(async () => {
    await queue?.close();
    service?.kill("SIGKILL");
    await service?.exited;
    await stack?.close();
    rmSync(directory, { recursive: true, force: true });
  }, 60_000);

  async function get<T>(path: string): Promise<T> {
    const response = await fetch(service.adminUrl + path, { signal: AbortSignal.timeout(5_000) });
    return (await response.json()) as T;
  }
  const status = () => get<Status>("/admin/breaker");
  const named = async (name: string) => (await status()).signals.filter((signal) => signal.name === name);
  const verdicts = async (name: string) => (await named(name)).map(({ verdict }) => verdict);
  const allGood = async () => (await status()).signals.every(({ verdict }) => verdict === "good");

  async function publish(keys: readonly string[]): Promise<void> {
    const producer = queue.producer({ topic: topics.updates, sendTimeoutMs: 10_000, maxPending: 100 });
    await until("the producer is connected", () => producer.connected());
    for (const userId of keys) {
      const payload = JSON.stringify({ tenantId: "shop", userId, event: { name: "seen" } });
      await producer.send({ key: userId, payload, deduplicationId: "" });
    }
    await producer.close();
  }

  test("are all listed, with what was measured", async () => {
    await until("all are good", allGood);
    const { signals } = await status();
    expect(signals.map(({ name, partition }) => [name, partition])).toEqual([
      ["send_failures", undefined],
      ["send_latency_p99", undefined],
      ["canary", 0],
      ["canary", 1],
      ["canary", 2],
      ["canary", 3],
      ["oldest_unacknowledged", undefined],
      ["subscription_stalled", undefined],
    ]);
    for (const signal of signals)
      expect(signal).toMatchObject({
        value: expect.any(Number),
        unit: expect.stringMatching(/^(ms|%)$/),
        limit: expect.any(Number),
        why: expect.stringMatching(/./),
      });
    const metrics = await (await fetch(`${service.adminUrl}/metrics`)).text();
    expect(metrics).toContain('keyline_signal_bad{signal="canary",partition="3"} 0');
    const { paths } = await get<{ paths: Record<string, unknown> }>("/openapi.json");
    expect(JSON.stringify(paths["/admin/breaker"])).toContain("subscription_stalled");
  });

  test("know this process's consumers by their names", async () => {
    const { fleet } = await get<{ fleet: { votes: { voter: string; own: boolean }[] } }>("/admin/breaker");
    const { voter } = fleet.votes.find(({ own }) => own)!;
    const read = createSubscriptionReader(stack.urls.admin, {
      topic: topics.updates,
      subscription: "audience-update",
    });
    const { backlog, oldestPublishMs, consumers } = await read();
    expect([backlog, oldestPublishMs]).toEqual([0, undefined]);
    expect(consumers.map(({ name }) => name).toSorted()).toEqual(
      [0, 1, 2, 3].map((index) => `${voter}-${index}`),
    );
    const missing = createSubscriptionReader(stack.urls.admin, {
      topic: topics.updates,
      subscription: "none",
    });
    await expect(missing()).rejects.toMatchObject({ code: "subscription_not_found", value: "none" });
  });

  test("that a stuck consumer elsewhere holds messages is no reason to open", async () => {
    const stuck = queue.consumer({
      topic: topics.updates,
      subscription: "audience-update",
      connections: 4,
      maxPrefetched: 100,
    });
    await until("it is connected", () => stuck.connected());
    // Both consumers have some of so many keys.
    await publish(Array.from({ length: 200 }, (_, n) => `user-${n}`));
    expect((await stuck.receive(100)).length).toBeGreaterThan(0);
    await until("the broker says who holds them", async () =>
      (await named("oldest_unacknowledged")).every(({ why }) => /consumers elsewhere hold \d+/.test(why)),
    );
    await until("they are much older than the limit", async () => {
      const [signal] = await named("oldest_unacknowledged");
      return signal!.value! > 3 * signal!.limit!;
    });
    expect([await verdicts("oldest_unacknowledged"), await verdicts("subscription_stalled")]).toEqual([
      ["unknown"],
      ["unknown"],
    ]);
    expect((await status()).local).toMatchObject({ state: "closed", openings: 0 });
    await stuck.close();
    await until("all are good", allGood);
  }, 180_000);

  test("turn bad when the broker is frozen, and good again when it goes on", async () => {
    stack.pulsar().kill("SIGSTOP");
    await until("every canary is bad", async () =>
      (await verdicts("canary")).every((verdict) => verdict === "bad"),
    );
    await until("the route is sqs", async () => (await status()).route === "sqs");
    await until(
      "the admin API does not answer",
      async () => (await verdicts("subscription_stalled"))[0] === "unknown",
    );
    await until("readyz names the queue that is away", async () => {
      const response = await fetch(`${service.adminUrl}/readyz`);
      const { checks } = (await response.json()) as { checks: { pulsar: string; sqs: string } };
      return response.status === 200 && checks.pulsar === "not connected" && checks.sqs === "ok";
    });
    stack.pulsar().kill("SIGCONT");
    await until("the route is pulsar", async () => (await status()).route === "pulsar");
    await until("all are good", allGood);
    expect((await status()).local.openings).toBeLessThanOrEqual(2);
  }, 240_000);

  test("show one dead partition by its number, and open for it", async () => {
    const { openings } = (await status()).local;
    const path = `${topics.canary.replace("://", "/")}-partition-3/terminate`;
    await createPulsarAdmin(stack.urls.admin).set(path, undefined);
    await until("the breaker is open", async () => (await status()).local.state === "open");
    expect((await status()).local).toMatchObject({
      openings: openings + 1,
      reason: expect.stringContaining("canary of partition 3"),
    });
    await until("it alone is bad", async () => (await verdicts("canary")).join() === "good,good,good,bad");
  }, 180_000);
});
