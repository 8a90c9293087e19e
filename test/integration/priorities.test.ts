import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { localAwsEnvironment } from "../../localstack/create-queues.ts";
import { openStores } from "../../shared/adapters/open.ts";
import { createPulsarWebSocket } from "../../shared/adapters/pulsar-websocket/pulsar-websocket.ts";
import type { Priority, Update } from "../../shared/domain/envelope.ts";
import type { ConnectedPublisher } from "../../shared/publish/connect-publisher.ts";
import { topicsOf } from "../../shared/runtime/topics.ts";
import {
  connectTo,
  createInstallation,
  type Installation,
  patientEnvironment,
  patientSettings,
} from "../support/installation.ts";
import { readTopic } from "../support/read-topic.ts";
import { type ServiceProcess, startService } from "../support/service-process.ts";
import { until } from "../support/until.ts";

const directory = mkdtempSync(join(tmpdir(), "keyline-priorities-"));
let installation: Installation;
let services: ServiceProcess[] = [];
let publisher: ConnectedPublisher;

beforeAll(async () => {
  Object.assign(process.env, localAwsEnvironment);
  installation = await createInstallation();
  const environment = { ...installation.environment, ...patientEnvironment };
  services = await Promise.all(
    ["one", "two"].map((name) => startService(environment, join(directory, `${name}.log`))),
  );
  publisher = await connectTo(installation, patientSettings);
}, 60_000);

afterAll(async () => {
  await publisher?.close();
  for (const service of services) service.kill("SIGKILL");
  await Promise.all(services.map(({ exited }) => exited));
  rmSync(directory, { recursive: true, force: true });
});

// biome-ignore lint/suspicious/noExplicitAny: what a test looks for in an answer is up to it
async function call(path: string, init: RequestInit = {}, service = services[0]!): Promise<any> {
  const response = await fetch(service.adminUrl + path, init);
  return response.json();
}

const profileOf = (userId: string) => call(`/v1/tenants/shop/users/${userId}`);
const publish = (userId: string, priority: Priority, points: number) =>
  publisher.publish({
    ...{ tenant: "shop", userId, priority },
    ops: [{ kind: "increment", body: { points } }],
  });

test("live and bulk updates of one user travel on two topics, and each counts once in one profile", async () => {
  const calls = Array.from({ length: 200 }, (_, index) =>
    publish(`both-${index % 4}`, index % 3 === 0 ? "bulk" : "live", 1),
  );
  expect(new Set((await Promise.all(calls)).map(({ path }) => path))).toEqual(new Set(["pulsar"]));
  for (const user of [0, 1, 2, 3])
    await until("all are counted", async () => (await profileOf(`both-${user}`)).updates === 50);
  expect((await profileOf("both-0")).attributes).toEqual({ points: 50 });
  const queue = createPulsarWebSocket({ url: inject("servers").pulsarWebSocketUrl });
  const { updates, bulk } = topicsOf(installation.namespace);
  const prioritiesOn = async (topic: string, count: number) => {
    const updates = await readTopic<Update>(queue, topic, ({ length }) => length >= count);
    return updates.map(({ priority }) => priority);
  };
  expect(new Set(await prioritiesOn(updates, 133))).toEqual(new Set(["live"]));
  expect(new Set(await prioritiesOn(bulk, 67))).toEqual(new Set(["bulk"]));
  await queue.close();
});

test("settings that are changed at one consumer are in force at the other within a second, and audited", async () => {
  const changed = await call("/admin/settings", {
    method: "PUT",
    headers: { authorization: "Bearer test-token", "content-type": "application/json" },
    body: JSON.stringify({ settings: { maxRounds: 2 }, reason: "night", name: "ada" }),
  });
  expect(changed.version).toBeGreaterThan(0);
  const changedAtMs = performance.now();
  const other = () => call("/admin/settings", {}, services[1]);
  await until("the other consumer has it", async () => (await other()).version === changed.version);
  expect(performance.now() - changedAtMs).toBeLessThan(2_000);
  const { settings, changes } = await other();
  expect(settings).toContainEqual(expect.objectContaining({ name: "maxRounds", value: 2, started: 4 }));
  expect(changes[0]).toMatchObject({ name: "ada", reason: "night", settings: { maxRounds: 2 } });
});

test("of a hot user the tenant's limit is applied, the rest is skipped and counted, others go on", async () => {
  const { tenantStore, connection } = openStores({
    redisUrl: installation.environment.REDIS_URL!,
    redisKeyPrefix: installation.redisKeyPrefix,
    redisCommandTimeoutMs: 5_000,
  });
  const quotas = { hotUsers: { updatesPerSecond: 20, over: "skip" } };
  const document = JSON.stringify({ writeKeys: [], quotas });
  await until("the policy is stored", () =>
    tenantStore.replace("shop", 0, { version: 1, document }).catch(() => false),
  );
  await connection.close();
  const skipped = async () => {
    const texts = services.map(({ adminUrl }) =>
      fetch(`${adminUrl}/metrics`).then((answer) => answer.text()),
    );
    return (await Promise.all(texts))
      .map((text) => Number(/^keyline_over_user_limit_total\{.*\} (\d+)$/m.exec(text)?.[1] ?? 0))
      .reduce((sum, count) => sum + count);
  };
  // Consumers pick the policy up within a second; until then all of a burst is applied.
  let sent = 0;
  await until("a burst is limited", async () => {
    await Promise.all(Array.from({ length: 100 }, () => publish("hot", "live", 1)));
    sent += 100;
    await publish("other", "live", 1);
    return (await skipped()) > 0;
  });
  await until("all are settled", async () => (await profileOf("hot")).updates === sent);
  expect((await profileOf("hot")).attributes.points + (await skipped())).toBe(sent);
  await until("others are counted", async () => (await profileOf("other")).updates === sent / 100);
});
