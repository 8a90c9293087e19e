import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SendMessageCommand } from "@aws-sdk/client-sqs";
import pLimit from "p-limit";
import { afterAll, beforeAll, describe, expect, inject, test } from "vitest";
import { installRedis, type RedisServer, startRedis } from "../../deploy/local/redis.ts";
import { localAwsEnvironment, localSqsClient } from "../../localstack/create-queues.ts";
import { parsePurchases, sumByCustomer } from "../../services/embedded/purchases.ts";
import { createPulsarWebSocket } from "../../shared/adapters/pulsar-websocket/pulsar-websocket.ts";
import type { PrimaryQueue } from "../../shared/ports/primary-queue.ts";
import type { ConnectedPublisher } from "../../shared/publish/connect-publisher.ts";
import { topicsOf } from "../../shared/runtime/topics.ts";
import {
  connectTo,
  createInstallation,
  type Installation,
  patientEnvironment,
  patientSettings,
} from "../support/installation.ts";
import { type ServiceProcess, startService } from "../support/service-process.ts";
import { until } from "../support/until.ts";

const directory = mkdtempSync(join(tmpdir(), "keyline-service-"));
let installation: Installation;
let service: ServiceProcess;
let publisher: ConnectedPublisher;
let queue: PrimaryQueue;

beforeAll(async () => {
  Object.assign(process.env, localAwsEnvironment);
  installation = await createInstallation();
  service = await startPatientService();
  publisher = await connectTo(installation, patientSettings);
  queue = createPulsarWebSocket({ url: inject("servers").pulsarWebSocketUrl });
}, 60_000);

afterAll(async () => {
  await queue?.close();
  await publisher?.close();
  service?.kill("SIGKILL");
  await service?.exited;
  rmSync(directory, { recursive: true, force: true });
});

const startPatientService = () =>
  startService({ ...installation.environment, ...patientEnvironment }, join(directory, "service.log"));

type Answer = { status: number; body: Record<string, unknown> };

async function call(path: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(service.adminUrl + path, init);
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

const profileOf = (userId: string) => call(`/v1/tenants/shop/users/${encodeURIComponent(userId)}`);

/** A producer such as any Java, Python or Go client is: it knows nothing of Keyline. */
async function foreignProducer(topic = topicsOf(installation.namespace).updates) {
  const producer = queue.producer({ topic, sendTimeoutMs: 5_000, maxPending: 100 });
  await until("the producer is connected", () => producer.connected());
  return producer;
}

async function deadLetters() {
  const consumer = queue.consumer({
    topic: topicsOf(installation.namespace).deadLetter,
    subscription: `reader-${Math.random()}`,
    connections: 1,
    maxPrefetched: 100,
  });
  return {
    async next(): Promise<Record<string, unknown>> {
      const [delivery] = await consumer.receive(1);
      await consumer.acknowledge([delivery!]);
      return JSON.parse(delivery!.payload) as Record<string, unknown>;
    },
    close: consumer.close,
  };
}

describe("an update", () => {
  test("is visible with all its parts, under whatever the user is called", async () => {
    const userId = "Zoë {1}:2/3 %";
    const user = publisher.user("shop", userId);
    const at = new Date("2026-01-02T03:04:05Z");
    await user.set({ plan: "pro", address: { city: "Bern" } }, { at });
    await user.add({ tags: ["vip", "new"] });
    await user.remove({ tags: ["new"] });
    await user.increment({ spend: 0.1 });
    await user.increment({ spend: 0.2 });
    const { id } = await user.event("viewed", { page: "/" }, { at });
    await until("six updates are counted", async () => (await profileOf(userId)).body.updates === 6);
    expect(await profileOf(userId)).toMatchObject({
      status: 200,
      body: {
        tenant: "shop",
        userId,
        attributes: { plan: "pro", address: { city: "Bern" }, tags: ["vip"], spend: 0.3 },
        events: { viewed: { count: 1, firstAt: at.toISOString(), lastAt: at.toISOString() } },
        eventsSeen: 1,
        version: expect.any(Number),
        lastUpdate: { id, at: at.toISOString(), path: "pulsar", appliedAt: expect.any(String) },
        lagMs: expect.any(Number),
      },
    });
  });

  test("of an unknown user answers 404, of a bad tenant 400", async () => {
    expect(await profileOf("nobody")).toMatchObject({
      status: 404,
      body: { error: { code: "user_not_found" } },
    });
    const bad = await call("/v1/tenants/a:b/users/1");
    expect(bad).toMatchObject({ status: 400, body: { error: { code: "invalid_request", path: "tenant" } } });
  });

  test("counts once when its id comes through another publisher", async () => {
    const other = await connectTo(installation);
    const input = { tenant: "shop", userId: "retry", id: "order-1", ops: [increment({ orders: 1 })] };
    await publisher.publish(input);
    await other.publish(input);
    await other.user("shop", "retry").set({ last: true });
    await other.close();
    await until("the last is applied", async () => attributesOf(await profileOf("retry")).last === true);
    expect(attributesOf(await profileOf("retry"))).toEqual({ orders: 1, last: true });
  });

  test("that is wrong is refused by the publisher with code, path and value, and leaves no gap", async () => {
    const wrong = { tenant: "shop", userId: "gap", ops: [increment({ points: "7" as never })] };
    await expect(publisher.publish(wrong)).rejects.toMatchObject({
      code: "invalid_update",
      path: "ops[0].body.points",
      value: '"7"',
    });
    await expect(publisher.user("shop", "gap").set({ when: new Date() })).rejects.toMatchObject({
      code: "invalid_update",
      path: "ops[0].body.when",
    });
    await expect(publisher.user("shop", "gap").set({ big: "x".repeat(140_000) })).rejects.toMatchObject({
      code: "too_large",
    });
    expect(await publisher.user("shop", "gap").set({ fine: true })).toMatchObject({ seq: 1 });
  });
});

describe("a minimal message from any Pulsar client", () => {
  test("is applied, and counts once however often it is delivered", async () => {
    const producer = await foreignProducer();
    const payloads = [
      { tenantId: "shop", userId: "raw", event: { name: "order_completed", properties: { amount: 3 } } },
      {
        tenantId: "shop",
        userId: "raw",
        ops: [{ kind: "set", body: { plan: "free" } }, increment({ n: 1 })],
      },
      { tenantId: "shop", userId: "raw", ops: [{ kind: "set", body: { plan: "pro" } }, increment({ n: 1 })] },
    ];
    for (const payload of payloads)
      await producer.send({ key: "raw", payload: JSON.stringify(payload), deduplicationId: "" });
    await producer.close();
    await until("three are counted", async () => (await profileOf("raw")).body.updates === 3);

    // Delivered again from the start of the ledger, as after a lost acknowledgement.
    const { pulsarAdminUrl } = inject("servers");
    const topic = topicsOf(installation.namespace).updates.replace("://", "/");
    for (const partition of [0, 1]) {
      const url = `${pulsarAdminUrl}/admin/v2/${topic}-partition-${partition}/subscription/audience-update/resetcursor/0`;
      await until("the cursor is reset", async () => (await fetch(url, { method: "POST" })).ok);
    }
    await until(
      "repeats were seen",
      async () =>
        (await metric('keyline_updates_total{path="pulsar",outcome="repeat",priority="live"}')) >= 3,
    );
    expect((await profileOf("raw")).body).toMatchObject({
      attributes: { plan: "pro", n: 2 },
      events: { order_completed: { count: 1 } },
      updates: 3,
    });
  });
});

describe("what can never apply", () => {
  test("lands in the dead-letter topic with its reason and blocks nobody", async () => {
    const letters = await deadLetters();
    const producer = await foreignProducer();
    const send = (payload: string) => producer.send({ key: "poison", payload, deduplicationId: "" });
    await send("not json");
    await send(JSON.stringify({ v: 9, tenant: "shop" }));
    await send(JSON.stringify({ tenantId: "shop", userId: "poison", ops: [{ kind: "boom" }] }));
    await send(JSON.stringify({ tenantId: "shop", userId: "poison", event: { name: "fine" } }));
    await until("the good one is applied", async () => (await profileOf("poison")).status === 200);
    const found = [await letters.next(), await letters.next(), await letters.next()];
    expect(found.map(({ reason, path }) => [reason, path])).toEqual([
      ["not_json", ""],
      ["unknown_version", "v"],
      ["invalid_update", "ops[0].kind"],
    ]);
    expect(found[0]).toMatchObject({
      via: "pulsar",
      key: "poison",
      payload: "not json",
      position: expect.anything(),
    });
    await letters.close();
    await producer.close();
  });

  test("on SQS too", async () => {
    const letters = await deadLetters();
    const sqs = localSqsClient(inject("servers").sqsEndpoint);
    const QueueUrl = installation.environment.SQS_QUEUE_URL;
    const raw = JSON.stringify({ tenantId: "shop", userId: "u", event: { name: "e" } });
    await sqs.send(
      new SendMessageCommand({
        QueueUrl,
        MessageBody: raw,
        MessageGroupId: "g",
        MessageDeduplicationId: "d",
      }),
    );
    sqs.destroy();
    const seen: Record<string, unknown>[] = [];
    await until(
      "the letter is there",
      async () => seen.push(await letters.next()) > 0 && seen.at(-1)!.via === "sqs",
    );
    expect(seen.at(-1)).toMatchObject({ reason: "invalid_update", path: "src", payload: raw });
    await letters.close();
  });
});

describe("the breaker's endpoint", () => {
  const put = (body: unknown, token?: string) =>
    call("/admin/breaker", {
      method: "PUT",
      headers: {
        "content-type": "application/json",
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      },
      body: typeof body === "string" ? body : JSON.stringify(body),
    });
  const force = { route: "sqs", reason: "drill", expiresInSeconds: 600 };

  test("changes nothing without the token or with a malformed call, and says why", async () => {
    const before = await call("/admin/audit");
    const refused: [unknown, string | undefined, number, string][] = [
      [force, undefined, 401, "unauthorised"],
      [force, "wrong", 401, "unauthorised"],
      [{ ...force, route: "kafka" }, "test-token", 400, "invalid_request"],
      [{ ...force, reason: " " }, "test-token", 400, "invalid_request"],
      [{ ...force, expiresInSeconds: 0 }, "test-token", 400, "invalid_request"],
      [{ route: "sqs", reason: "drill" }, "test-token", 400, "invalid_request"],
      [{ ...force, extra: 1 }, "test-token", 400, "invalid_request"],
      ["{", "test-token", 400, "invalid_request"],
    ];
    for (const [body, token, status, code] of refused)
      expect(await put(body, token), JSON.stringify(body)).toMatchObject({
        status,
        body: { error: { code } },
      });
    expect(await call("/admin/audit")).toEqual(before);
    expect((await call("/admin/breaker")).body).toMatchObject({
      route: "pulsar",
      by: "fleet",
      override: null,
    });
  });

  test("forces the whole fleet over SQS and back, each with one audit line", async () => {
    const lines = async () => (await call("/admin/audit")).body.lines as Record<string, unknown>[];
    const before = (await lines()).length;
    const forced = await put({ ...force, name: "ada" }, "test-token");
    expect(forced).toMatchObject({
      status: 200,
      body: { route: "sqs", by: "override", override: { name: "ada", reason: "drill", route: "sqs" } },
    });
    await until("the publisher has heard it", () => publisher.routing.router.route().path === "sqs");
    expect(await publisher.user("shop", "forced").set({ over: "sqs" })).toMatchObject({ path: "sqs" });
    await until("it is applied", async () => (await profileOf("forced")).status === 200);
    expect((await profileOf("forced")).body).toMatchObject({ lastUpdate: { path: "sqs" } });
    expect(await put({ route: "auto", reason: "drill over" }, "test-token")).toMatchObject({
      status: 200,
      body: { route: "pulsar", by: "fleet" },
    });
    expect((await lines()).slice(0, (await lines()).length - before)).toMatchObject([
      { action: "clear", name: "operator", reason: "drill over" },
      { action: "override", route: "sqs", name: "ada", reason: "drill" },
    ]);
  });

  test("an override ends by itself", async () => {
    await put({ ...force, expiresInSeconds: 1 }, "test-token");
    await until("it has ended", async () => (await call("/admin/breaker")).body.by === "fleet");
    const { lines } = (await call("/admin/audit?limit=1")).body as { lines: Record<string, unknown>[] };
    expect(lines).toMatchObject([{ action: "expire" }]);
  });
});

describe("the process", () => {
  test("answers livez, readyz, metrics and its OpenAPI", async () => {
    expect(await call("/livez")).toMatchObject({ status: 200 });
    expect(await call("/readyz")).toMatchObject({
      status: 200,
      body: { status: "ready", checks: { store: "ok", definitions: "ok", pulsar: "ok", sqs: "ok" } },
    });
    expect(await metric('keyline_route{path="pulsar"}')).toBe(1);
    expect((await call("/openapi.json")).body).toMatchObject({
      openapi: "3.1.0",
      paths: { "/admin/breaker": {} },
    });
  });

  test("refuses bad configuration at start, quoting it", async () => {
    const wrong = startService(
      { ...installation.environment, ADMIN_PORT: "80x", PULSAR_URL: "kafka://b" },
      join(directory, "bad.log"),
    );
    await expect(wrong).rejects.toThrow("ended with 2");
    const said = readFileSync(join(directory, "bad.log"), "utf8");
    expect(said).toContain('ADMIN_PORT="80x" is not a whole number');
    expect(said).toContain('PULSAR_URL="kafka://b" does not start with pulsar://');
  });

  test("starts without Redis, and becomes ready by itself once it is there", async () => {
    const own = await createInstallation();
    const redisDirectory = join(directory, "late-redis");
    const redisInstallation = await installRedis(() => {});
    const first = await startRedis(redisInstallation, { directory: redisDirectory });
    await first.stop();
    const environment = { ...own.environment, REDIS_URL: first.urls.redis };
    const early = await startService(environment, join(directory, "early.log"));
    const readiness = async () => {
      const response = await fetch(`${early.adminUrl}/readyz`);
      return { status: response.status, body: await response.json() };
    };
    expect(await readiness()).toMatchObject({
      status: 503,
      body: { checks: { definitions: "not loaded yet" } },
    });
    const port = Number(new URL(first.urls.redis).port);
    const redis = await startRedis(redisInstallation, { directory: redisDirectory, port });
    await until("it is ready", async () => (await readiness()).status === 200);
    expect(await readiness()).toMatchObject({ body: { checks: { store: "ok", definitions: "ok" } } });
    early.kill("SIGTERM");
    await early.exited;
    await redis.stop();
  }, 120_000);

  test("holds everything while Redis is away and catches up, publishers unaffected", async () => {
    const own = await createInstallation();
    const redisDirectory = join(directory, "redis");
    const redisInstallation = await installRedis(() => {});
    let redis: RedisServer = await startRedis(redisInstallation, { directory: redisDirectory });
    const port = Number(new URL(redis.urls.redis).port);
    const environment = { ...own.environment, REDIS_URL: redis.urls.redis };
    const held = await startService(environment, join(directory, "held.log"));
    const sender = await connectTo({ ...own, environment });
    const ready = async () => (await fetch(`${held.adminUrl}/readyz`)).status;
    await until("it is ready", async () => (await ready()) === 200);
    await sender.user("shop", "u0").increment({ n: 1 });

    redis.kill("SIGKILL");
    await redis.stop();
    await until("it says that it is not ready", async () => (await ready()) === 503);
    for (let i = 0; i < 200; i += 1) await sender.user("shop", `u${i % 10}`).increment({ n: 1 });
    redis = await startRedis(redisInstallation, { directory: redisDirectory, port });
    const total = async () => {
      const profiles = Array.from({ length: 10 }, async (_, i) => {
        const response = await fetch(`${held.adminUrl}/v1/tenants/shop/users/u${i}`);
        return ((await response.json()) as { attributes: { n: number } }).attributes.n;
      });
      return (await Promise.all(profiles)).reduce((sum, n) => sum + n, 0);
    };
    await until("all are applied once", async () => (await total()) === 201);
    await sender.close();
    held.kill("SIGTERM");
    expect(await held.exited).toBe(0);
    await redis.stop();
  }, 90_000);

  test("drains on SIGTERM: what it received is applied and acknowledged, and the rest goes to its replacement", async () => {
    const updates = Array.from({ length: 3_000 }, (_, i) =>
      publisher.user("shop", `drain-${i % 50}`).increment({ n: 1 }),
    );
    await Promise.all(updates.slice(0, 500));
    service.kill("SIGTERM");
    expect(await service.exited).toBe(0);
    service = await startPatientService();
    await Promise.all(updates);
    for (let i = 0; i < 50; i += 1)
      await until(`user ${i} is complete`, async () => attributesOf(await profileOf(`drain-${i}`)).n === 60);
    expect(readFileSync(join(directory, "service.log"), "utf8")).toContain(
      "drained: nothing is left in hand",
    );
  }, 60_000);
});

test("the CDNOW sample adds up for each of its 2,357 customers", async () => {
  const purchases = parsePurchases(readFileSync("data/cdnow-sample.txt", "utf8"));
  expect(purchases).toHaveLength(6_919);
  const atOnce = pLimit(500);
  await Promise.all(
    purchases.map(({ customer, date, cds, cents, line }) =>
      atOnce(() =>
        publisher.publish({
          tenant: "cdnow",
          userId: customer,
          id: `line-${line}`,
          at: Date.parse(date),
          ops: [increment({ purchases: 1, cds, dollars: cents / 100 })],
        }),
      ),
    ),
  );
  const sums = sumByCustomer(purchases);
  expect(sums.size).toBe(2_357);
  for (const [customer, { purchases: count, cds, cents }] of sums) {
    let body: Answer["body"] = {};
    const complete = async () => {
      ({ body } = await call(`/v1/tenants/cdnow/users/${customer}`));
      return body.updates === count;
    };
    await until(`customer ${customer} is complete`, complete, { everyMs: 20 });
    expect(body.attributes, customer).toEqual({ purchases: count, cds, dollars: cents / 100 });
  }
}, 120_000);

function increment(body: Record<string, number>) {
  return { kind: "increment" as const, body };
}

function attributesOf({ body }: Answer): Record<string, unknown> {
  return (body.attributes ?? {}) as Record<string, unknown>;
}

async function metric(name: string): Promise<number> {
  const text = await (await fetch(`${service.adminUrl}/metrics`)).text();
  const line = text.split("\n").find((candidate) => candidate.startsWith(`${name} `));
  return Number(line?.slice(name.length) ?? Number.NaN);
}
