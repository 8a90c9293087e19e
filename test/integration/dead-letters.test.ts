import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, inject, test } from "vitest";
import { localAwsEnvironment } from "../../localstack/create-queues.ts";
import { createPulsarWebSocket } from "../../shared/adapters/pulsar-websocket/pulsar-websocket.ts";
import type { PrimaryQueue } from "../../shared/ports/primary-queue.ts";
import type { Producer } from "../../shared/ports/update-queue.ts";
import type { ConnectedPublisher } from "../../shared/publish/connect-publisher.ts";
import { DEAD_LETTER_SUBSCRIPTION, topicsOf } from "../../shared/runtime/topics.ts";
import { connectTo, createInstallation, type Installation } from "../support/installation.ts";
import { type KeylineResult, runKeyline } from "../support/keyline-process.ts";
import { type ServiceProcess, startService } from "../support/service-process.ts";
import { until } from "../support/until.ts";

/** What `small` refuses and `large` takes. */
const small = { MAX_PROFILE_LENGTH: "21000", MAX_UPDATE_BYTES: "20000" };
const large = { MAX_PROFILE_LENGTH: "500000", MAX_UPDATE_BYTES: "200000" };
const directory = mkdtempSync(join(tmpdir(), "keyline-dead-letters-"));
let installation: Installation;
let service: ServiceProcess;
let publisher: ConnectedPublisher;
let queue: PrimaryQueue;
let foreign: Producer;

beforeAll(async () => {
  Object.assign(process.env, localAwsEnvironment);
  installation = await createInstallation();
  await restart(small);
  const { namespace } = installation;
  publisher = await connectTo(installation);
  queue = createPulsarWebSocket({ url: inject("servers").pulsarWebSocketUrl });
  foreign = queue.producer({ topic: topicsOf(namespace).updates, sendTimeoutMs: 5_000, maxPending: 100 });
  await until("the producer is connected", () => foreign.connected());
}, 60_000);

afterAll(async () => {
  await queue?.close();
  await publisher?.close();
  service?.kill("SIGKILL");
  await service?.exited;
  rmSync(directory, { recursive: true, force: true });
});

async function restart(limits: Record<string, string>): Promise<void> {
  service?.kill("SIGTERM");
  await service?.exited;
  service = await startService({ ...installation.environment, ...limits }, join(directory, "service.log"));
}

const dlq = (...words: string[]): Promise<KeylineResult> =>
  runKeyline(installation.environment, "dlq", ...words);

type Listed = { id: string; reason: string; path: string; user: string; via: string; payloadBytes: number };

async function listed(...filters: string[]): Promise<Listed[]> {
  const { code, out, err } = await dlq("list", "--json", ...filters);
  expect([code, err]).toEqual([0, ""]);
  return out.map((line) => JSON.parse(line) as Listed);
}

async function profileOf(userId: string): Promise<{ attributes: Record<string, unknown>; updates: number }> {
  const response = await fetch(`${service.adminUrl}/v1/tenants/shop/users/${userId}`);
  return (await response.json()) as { attributes: Record<string, unknown>; updates: number };
}

const send = (key: string, payload: unknown) => {
  const text = typeof payload === "string" ? payload : JSON.stringify(payload);
  return foreign.send({ key, payload: text, deduplicationId: "" });
};

const minimal = (userId: string, body: object) => {
  return {
    tenantId: "shop",
    userId,
    ops: [
      { kind: "set", body },
      { kind: "increment", body: { n: 1 } },
    ],
  };
};

test("poison of every kind is parked while the others flow", async () => {
  await publisher.user("shop", "grown").set({ plan: "pro", before: "x".repeat(15_000) });
  const sends = [
    send("p1", "not json"),
    send("p2", { ...minimal("p2", {}), ops: [{ kind: "boom" }] }),
    send("p3", { v: 9, tenant: "shop", userId: "p3" }),
    send("shop:large", minimal("large", { text: "x".repeat(100_000) })),
    publisher.user("shop", "grown").set({ text: "y".repeat(10_000) }),
    publisher.user("shop", "grown").increment({ n: 1 }),
    ...["u1", "u2", "u3"].map((user) => publisher.user("shop", user).increment({ n: 1 })),
    send("p1", minimal("p1", { fine: true })),
  ];
  await Promise.all(sends);
  for (const user of ["u1", "u2", "u3", "p1"])
    await until(`${user} is applied`, async () => (await profileOf(user)).attributes.n === 1);
  await until("grown is applied past it", async () => (await profileOf("grown")).attributes.n === 1);

  await until("all five are parked", async () => (await listed()).length === 5);
  const found = await listed();
  expect(Object.fromEntries(found.map(({ user, reason, path }) => [user, [reason, path]]))).toEqual({
    p1: ["not_json", ""],
    "shop:p2": ["invalid_update", "ops[0].kind"],
    "shop:p3": ["unknown_version", "v"],
    "shop:large": ["too_large", ""],
    "shop:grown": ["profile_too_large", ""],
  });
  expect(await listed("--user", "shop:p3")).toMatchObject([{ reason: "unknown_version" }]);
  expect(await listed("--limit", "2")).toEqual(found.slice(-2));
  expect(await listed("--since", "2026-01-01", "--reason", "not_json")).toHaveLength(1);
  const lines = (await dlq("list")).out;
  expect(lines.map((line) => line.split("  ")[0])).toEqual(found.map(({ id }) => id));
}, 120_000);

test("each can be looked at", async () => {
  const [invalid] = await listed("--reason", "invalid_update");
  const shown = await dlq("show", invalid!.id);
  expect(shown.code).toBe(0);
  expect(shown.out.join("\n")).toContain('"kind": "boom"');
  expect(shown.out.join("\n")).toMatch(/path +ops\[0\]\.kind/);
  expect(await dlq("show", "999999:0")).toMatchObject({ code: 1, out: [] });
}, 60_000);

test("a dry run changes nothing, and wrong use is told apart from failure", async () => {
  const before = await listed();
  const dry = await dlq("replay", "--all", "--dry-run");
  expect([dry.code, dry.out.at(-1)]).toEqual([0, "would replay 5, failed 0, of 5 outstanding when it began"]);
  expect((await dlq("drop", "--reason", "not_json", "--dry-run")).out).toHaveLength(2);
  const wrong = [
    ["replay"],
    ["drop", "--all"],
    ["drop", "--rate", "1"],
    ["show", "x"],
    ["replay", "--rate", "0", "--all"],
  ];
  const codes = await Promise.all(wrong.map(async (words) => [words, (await dlq(...words)).code]));
  expect(codes).toEqual(wrong.map((words) => [words, 2]));
  expect(await listed()).toEqual(before);
}, 120_000);

test("while another command works on them, a second one is refused", async () => {
  const other = queue.consumer({
    topic: topicsOf(installation.namespace).deadLetter,
    subscription: DEAD_LETTER_SUBSCRIPTION,
    exclusive: true,
    connections: 1,
    maxPrefetched: 1,
  });
  await until("it has them", () => other.connected());
  const refused = await dlq("replay", "--all");
  expect(refused).toMatchObject({
    code: 1,
    out: [],
    err: expect.stringMatching(/^dead_letters_busy: .* since 20/),
  });
  await other.close();
}, 60_000);

test("without Pulsar nothing is replayed, and the error says that it may be tried again", async () => {
  const away = { ...installation.environment, PULSAR_URL: "ws://127.0.0.1:9" };
  expect(await runKeyline(away, "dlq", "replay", "--all")).toMatchObject({
    code: 1,
    out: [],
    err: expect.stringContaining("may be tried again"),
  });
}, 60_000);

test("what still can't apply is parked again, and not touched by the replay that brought it", async () => {
  const before = await listed("--reason", "profile_too_large");
  const replayed = await dlq("replay", "--user", "shop:grown");
  expect([replayed.code, replayed.out.at(-1)]).toEqual([
    0,
    "replayed 1, failed 0, of 5 outstanding when it began",
  ]);
  await until("it is back", async () => (await listed("--reason", "profile_too_large")).length === 1);
  expect((await listed("--reason", "profile_too_large"))[0]!.id).not.toBe(before[0]!.id);
}, 60_000);

test("replay after the limits were raised counts once, and a second one finds nothing", async () => {
  await restart(large);
  const grown = (await listed("--reason", "profile_too_large"))[0]!;
  const [one, other] = await Promise.all([dlq("replay", grown.id), dlq("replay", grown.id)]);
  expect([one.code, other.code].toSorted()).toEqual([0, 1]);
  expect((await dlq("replay", "--reason", "too_large")).code).toBe(0);
  await until("grown has it", async () => (await profileOf("grown")).attributes.text === "y".repeat(10_000));
  await until("large has it", async () => (await profileOf("large")).attributes.n === 1);
  expect((await profileOf("large")).attributes.text).toHaveLength(100_000);

  expect(await dlq("replay", grown.id)).toMatchObject({ code: 1, err: expect.stringContaining("not among") });
  const none = await dlq("replay", "--reason", "too_large");
  expect([none.code, none.out]).toEqual([0, ["replayed 0, failed 0, of 3 outstanding when it began"]]);
  await publisher.user("shop", "grown").increment({ n: 1 });
  await until("the next is applied", async () => (await profileOf("grown")).attributes.n === 2);
  expect(await profileOf("grown")).toMatchObject({ attributes: { plan: "pro" }, updates: 4 });
}, 120_000);

test("drop takes out by id, and the rest with --yes", async () => {
  const [first] = await listed();
  expect((await dlq("drop", first!.id)).code).toBe(0);
  expect(await listed()).toHaveLength(2);
  expect((await dlq("drop", "--all", "--yes")).out.at(-1)).toBe(
    "dropped 2, failed 0, of 2 outstanding when it began",
  );
  expect(await listed()).toEqual([]);
}, 60_000);
