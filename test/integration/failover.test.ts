import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { GetQueueAttributesCommand } from "@aws-sdk/client-sqs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { localSqsClient } from "../../localstack/create-queues.ts";
import { openStores } from "../../shared/adapters/open.ts";
import type { Update } from "../../shared/domain/envelope.ts";
import { attributes } from "../../shared/domain/profile.ts";
import { decodeProfile } from "../../shared/domain/profile-record.ts";
import type { ProfileStore } from "../../shared/ports/profile-store.ts";
import { expectedProfile } from "../support/oracle.ts";
import type { PublisherTask } from "../support/publisher-process.ts";
import { type RealStack, startRealStack } from "../support/real-stack.ts";
import { exitOf, type ServiceProcess, startService } from "../support/service-process.ts";
import { until as untilWithin } from "../support/until.ts";

const SEED = Number(process.env.SEED ?? 20261121);
const UPDATES = 50_000;
const USERS = 2_000;
const PUBLISHERS = 4;
const PER_SECOND = 500;

const until = (what: string, condition: () => boolean | Promise<boolean>) =>
  untilWithin(what, condition, { patienceMs: 180_000, everyMs: 250 });

/**
 * The promise that Keyline is about, on real servers: while updates flow, the broker is frozen for 20 s, then
 * killed and started again, and a consumer is killed and replaced. Every profile must equal the oracle.
 */
describe(`failover with seed ${SEED}`, () => {
  const directory = mkdtempSync(join(tmpdir(), "keyline-failover-"));
  const services: ServiceProcess[] = [];
  const publishers: ChildProcess[] = [];
  let stack: RealStack;

  beforeAll(async () => {
    stack = await startRealStack({ partitions: 4, tuning: "full", report: console.log });
  }, 600_000);

  afterAll(async () => {
    for (const publisher of publishers) publisher.kill("SIGKILL");
    for (const service of services) service.kill("SIGKILL");
    await Promise.all(services.map(({ exited }) => exited));
    await stack?.close();
    rmSync(directory, { recursive: true, force: true });
  }, 120_000);

  const startConsumer = async () => {
    const service = await startService(stack.environment, join(directory, `service-${services.length}.log`));
    services.push(service);
    return service;
  };

  test("nothing is lost, doubled or reordered while brokers and consumers break", async () => {
    const [first] = [await startConsumer(), await startConsumer()];
    const fleet = Array.from({ length: PUBLISHERS }, (_, index) => startPublisher(index));
    const sent = () => fleet.reduce((sum, publisher) => sum + publisher.sent(), 0);

    await until("an eighth is sent", () => sent() >= UPDATES / 8);
    stack.pulsar().kill("SIGSTOP");
    await new Promise((resume) => setTimeout(resume, 20_000));
    stack.pulsar().kill("SIGCONT");
    await until("the route is pulsar again", async () => (await breaker(first)).route === "pulsar");

    expect(sent(), "updates flow while the consumer is killed").toBeLessThan(UPDATES - 1_000);
    first.kill("SIGKILL");
    const replacement = await startConsumer();

    await stack.crashPulsar(1_000);
    await until("the route is pulsar again", async () => (await breaker(replacement)).route === "pulsar");

    const acknowledged = (await Promise.all(fleet.map(({ done }) => done))).flat();
    expect(acknowledged).toHaveLength(UPDATES);

    // First every copy is delivered, so that one that counts twice is seen.
    await until("nothing is left undelivered", async () => (await undelivered()) === 0);
    await expectProfiles(acknowledged);

    const { lines } = (await get(`${replacement.adminUrl}/admin/audit`)) as {
      lines: { action: string; route: string }[];
    };
    const routes = lines.filter(({ action }) => action === "fleet").map(({ route }) => route);
    expect(routes.toReversed().slice(0, 4)).toEqual(["sqs", "pulsar", "sqs", "pulsar"]);

    for (const service of services.slice(1)) service.kill("SIGTERM");
    expect(await Promise.all(services.slice(1).map(({ exited }) => exited))).toEqual([0, 0]);
  }, 420_000);

  function startPublisher(index: number) {
    const outputFile = join(directory, `acknowledged-${index}.ndjson`);
    const task: PublisherTask = {
      seed: SEED + index,
      updates: UPDATES / PUBLISHERS,
      users: USERS,
      perSecond: PER_SECOND / PUBLISHERS,
      outputFile,
    };
    const child = spawn(process.execPath, ["test/support/publisher-process.ts", JSON.stringify(task)], {
      env: { ...process.env, ...stack.environment, LOG_LEVEL: "fatal" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    publishers.push(child);
    let sent = 0;
    createInterface(child.stdout).on("line", (line) => {
      const progress = JSON.parse(line) as { sent?: number; done?: true };
      if (progress.sent !== undefined) sent = progress.sent;
      if (progress.done) console.log(`publisher ${index}: ${line}`);
    });
    const done = exitOf(child).then((code) => {
      if (code !== 0) throw new Error(`publisher ${index} ended with ${code}`);
      const lines = readFileSync(outputFile, "utf8").trim().split("\n");
      return lines.map((line) => JSON.parse(line) as Update);
    });
    return { sent: () => sent, done };
  }

  async function expectProfiles(updates: Update[]): Promise<void> {
    const byUser = Map.groupBy(updates, ({ userId }) => userId);
    const { store, connection } = openStores({
      redisUrl: stack.urls.redis,
      redisKeyPrefix: "kl:",
      redisCommandTimeoutMs: 5_000,
    });
    try {
      const expectedCount = updates.length;
      await until(
        "every update is counted",
        async () => (await countedBy(store, byUser.keys())) >= expectedCount,
      );
      for (const [userId, own] of byUser)
        expect(await visible(store, userId), userId).toEqual(expectedProfile(own));
    } finally {
      await store.close();
      await connection.close();
    }
  }

  async function undelivered(): Promise<number> {
    const statistics = (await get(
      `${stack.urls.admin}/admin/v2/persistent/public/keyline/updates/partitioned-stats`,
    )) as { subscriptions: Record<string, { msgBacklog: number }> };
    const sqs = localSqsClient(stack.urls.sqs);
    const { Attributes = {} } = await sqs.send(
      new GetQueueAttributesCommand({
        QueueUrl: stack.environment.SQS_QUEUE_URL,
        AttributeNames: ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
      }),
    );
    sqs.destroy();
    const queued = Object.values(Attributes).reduce((sum, count) => sum + Number(count), 0);
    return statistics.subscriptions["audience-update"]!.msgBacklog + queued;
  }
});

async function visible(store: ProfileStore, userId: string) {
  const record = await store.load({ tenant: "chaos", userId });
  if (!record) return undefined;
  const { profile } = decodeProfile(record.machinery);
  return {
    attributes: attributes(profile),
    events: Object.fromEntries(profile.events),
    updates: profile.updates,
  };
}

async function countedBy(store: ProfileStore, users: Iterable<string>): Promise<number> {
  const profiles = await Promise.all(Array.from(users, (userId) => visible(store, userId)));
  return profiles.reduce((sum, profile) => sum + (profile?.updates ?? 0), 0);
}

async function breaker(service: ServiceProcess): Promise<{ route: string }> {
  return (await get(`${service.adminUrl}/admin/breaker`)) as { route: string };
}

async function get(url: string): Promise<unknown> {
  const response = await fetch(url, { signal: AbortSignal.timeout(5_000) });
  return response.json();
}
