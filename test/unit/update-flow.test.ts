import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { createDeadLetterOffice } from "../../services/audience-update/dead-letter.ts";
import { createHotUsers } from "../../services/audience-update/hot-users.ts";
import { createUpdateFlow } from "../../services/audience-update/update-flow.ts";
import { createUpdateMetrics } from "../../services/audience-update/update-metrics.ts";
import { createMemoryProfileStore } from "../../shared/adapters/memory/memory-profile-store.ts";
import type { HotUserPolicy } from "../../shared/domain/hot-user-policy.ts";
import { decodeProfile } from "../../shared/domain/profile-record.ts";
import { stampAt } from "../../shared/domain/stamp.ts";
import type { DeadLetter } from "../../shared/ports/dead-letter.ts";
import type { ProfileStore } from "../../shared/ports/profile-store.ts";
import type { Consumer, Delivery } from "../../shared/ports/update-queue.ts";
import { smallFlowLimits } from "../support/flow-limits.ts";
import { noDefinitions } from "../support/no-definitions.ts";
import { until } from "../support/until.ts";

const NOW_MS = Date.UTC(2026, 10, 21);
const ops = [{ kind: "increment", body: { points: 1 } }];

/** A flow over these messages; what it acknowledged and parked, in order, and the letters. */
function start(
  store: ProfileStore,
  messages: readonly { key: string; payload: unknown; unreadableId?: boolean }[],
  policy?: HotUserPolicy | (() => HotUserPolicy | undefined),
) {
  const acknowledged: string[] = [];
  const parked: string[] = [];
  const letters: DeadLetter[] = [];
  const idle = () => new Promise<Delivery[]>(() => {});
  const deliveries = messages.map(({ key, payload, unreadableId = false }, index): Delivery => {
    const text = typeof payload === "string" ? payload : JSON.stringify(payload);
    const position = { partition: 0, ledgerId: 1, entryId: index, batchIndex: 0 };
    const path = "pulsar" as const;
    return {
      ...{ path, key, payload: text, sizeBytes: text.length, publishTimeMs: NOW_MS, handle: key },
      get position() {
        if (unreadableId) throw new Error("unreadable message id");
        return position;
      },
    };
  });
  const waiting: Consumer["receive"][] = [async () => deliveries];
  const primary: Consumer = {
    receive: (max) => (waiting.shift() ?? idle)(max),
    async acknowledge(done) {
      acknowledged.push(...done.map(({ key }) => key));
    },
    connected: () => true,
    pause() {},
    async close() {},
  };
  const registry = new Registry();
  const metrics = createUpdateMetrics(registry, () => flow.counts());
  const flow = createUpdateFlow({
    primary,
    bulk: { ...primary, receive: idle },
    fallback: { ...primary, receive: idle, async release() {} },
    store,
    deadLetters: createDeadLetterOffice({
      producer: {
        async send({ payload }) {
          const letter = JSON.parse(payload) as DeadLetter;
          letters.push(letter);
          parked.push(`${letter.key} ${letter.reason}`);
        },
        connected: () => true,
        async close() {},
      },
      now: () => NOW_MS,
      restMs: () => 0,
      onParked() {},
      onError() {},
    }),
    keeper: { keep: async () => true, close() {} },
    limits: smallFlowLimits,
    ...noDefinitions,
    hotUsers: createHotUsers({
      policyOf: typeof policy === "function" ? policy : () => policy,
      now: () => 0,
    }),
    metrics,
    now: () => NOW_MS,
    onStoreFailure() {},
  });
  flow.start();
  return { flow, acknowledged, parked, letters, registry };
}

const envelope = (seq: number) => ({
  v: 1,
  tenant: "shop",
  userId: "42",
  src: "s",
  seq,
  stamp: stampAt(NOW_MS) + seq,
  at: NOW_MS,
  ops,
});
const minimal = { tenantId: "shop", userId: "42", ops };

async function profileOf(store: ProfileStore) {
  const record = await store.load({ tenant: "shop", userId: "42" });
  return decodeProfile(record!.machinery).profile;
}

async function pointsOf(store: ProfileStore): Promise<unknown> {
  const record = await store.load({ tenant: "shop", userId: "42" });
  return record && decodeProfile(record.machinery).profile.counters.get("points");
}

test("messages that came under other keys are their user's, and counted once also when a save fails", async () => {
  const memory = createMemoryProfileStore({ maxProfiles: 10 });
  let saving = 0;
  let overlaps = 0;
  let failures = 2;
  const store: ProfileStore = {
    ...memory,
    async save(writes) {
      overlaps += saving;
      saving += 1;
      await new Promise((resume) => setTimeout(resume, 2));
      saving -= 1;
      failures -= 1;
      if (failures >= 0) return writes.map(() => ({ outcome: "failed", error: new Error("away") }));
      return memory.save(writes);
    },
  };
  const { flow, acknowledged, parked } = start(store, [
    { key: "shop:42", payload: envelope(1) },
    { key: "42", payload: minimal },
    { key: "", payload: minimal },
    { key: "shop:42", payload: "not JSON" },
    { key: "shop:7", payload: envelope(2) },
  ]);
  await until("all is acknowledged", () => acknowledged.length === 5);
  expect(parked).toEqual(["shop:42 not_json"]);
  expect(acknowledged.toSorted()).toEqual(["", "42", "shop:42", "shop:42", "shop:7"]);
  expect(await pointsOf(memory)).toBe(4);
  expect(overlaps).toBe(0);
  await until("nothing is in hand", () => flow.counts().users === 0);
  expect(flow.counts()).toMatchObject({ resting: 0, messages: 0, bytes: 0 });
});

test("messages that can't be read leave nothing behind, alone in their mailbox or not", async () => {
  const store = createMemoryProfileStore({ maxProfiles: 10 });
  const { flow, acknowledged, parked } = start(store, [
    { key: "a", payload: "{" },
    { key: "b", payload: { v: 2 } },
    { key: "b", payload: [] },
  ]);
  await until("all is acknowledged", () => acknowledged.length === 3);
  expect(parked.toSorted()).toEqual(["a not_json", "b invalid_update", "b unknown_version"]);
  await until("no mailbox is left", () => flow.counts().users === 0);
});

test("a letter says by its stack what reading the message threw", async () => {
  const store = createMemoryProfileStore({ maxProfiles: 10 });
  const { acknowledged, letters } = start(store, [{ key: "shop:42", payload: minimal, unreadableId: true }]);
  await until("it is acknowledged", () => acknowledged.length === 1);
  expect(letters).toMatchObject([
    {
      ...{ reason: "apply_failed", path: "", message: "unreadable message id" },
      stack: expect.stringMatching(/^Error: unreadable message id\n +at .*decode/su),
    },
  ]);
});

test("a letter says by its stack what folding the update threw", async () => {
  const user = { tenant: "shop", userId: "42" };
  const store = createMemoryProfileStore({ maxProfiles: 10 });
  const first = start(store, [{ key: "shop:42", payload: envelope(1) }]);
  await until("a profile is there", () => first.acknowledged.length === 1);
  const { version, machinery } = (await store.load(user))!;
  const broken = machinery.replace('"points",1', '"points","one"');
  const write = { user, expectedVersion: version, version: "2-x", machinery: broken };
  await store.save([{ ...write, setAttributes: [], removeAttributes: [] }]);
  const { acknowledged, letters } = start(store, [{ key: "shop:42", payload: envelope(2) }]);
  await until("it is acknowledged", () => acknowledged.length === 1);
  expect(letters).toMatchObject([
    {
      ...{ reason: "apply_failed", path: "" },
      stack: expect.stringMatching(/\n +at .*apply/su),
    },
  ]);
});

test("who waits because another build wrote the record is counted, until a record is there that can be read", async () => {
  const user = { tenant: "shop", userId: "42" };
  const store = createMemoryProfileStore({ maxProfiles: 10 });
  const first = start(store, [{ key: "shop:42", payload: envelope(1) }]);
  await until("a profile is there", () => first.acknowledged.length === 1);
  const { version, machinery } = (await store.load(user))!;
  const put = (expectedVersion: string, written: string, text: string) =>
    store.save([
      {
        ...{ user, expectedVersion, version: written, machinery: text },
        ...{ setAttributes: [], removeAttributes: [] },
      },
    ]);
  await put(version, "2-x", machinery.replace("[2,", "[1,"));
  const { flow, acknowledged } = start(store, [
    { key: "shop:42", payload: envelope(2) },
    { key: "shop:7", payload: { ...envelope(1), userId: "7" } },
  ]);
  await until("it is counted", () => flow.counts().unreadable === 1 && flow.counts().resting === 1);
  expect(acknowledged).toEqual(["shop:7"]);
  await put("2-x", "3-x", machinery);
  await until("it is acknowledged", () => acknowledged.length === 2);
  expect(flow.counts()).toMatchObject({ unreadable: 0 });
  expect(await pointsOf(store)).toBe(2);
});

test("one user under both keys that stand for them, in the order of the ledger, loses nothing", async () => {
  const store = createMemoryProfileStore({ maxProfiles: 10 });
  const keys = ["shop:42", "42", ...Array.from({ length: 20 }, () => "shop:42")];
  // Messages of other users lie between theirs.
  const messages = keys.flatMap((key) => [
    { key, payload: minimal },
    { key: "shop:7", payload: { ...minimal, userId: "7" } },
  ]);
  const { acknowledged, parked } = start(store, messages);
  await until("all is acknowledged", () => acknowledged.length === messages.length);
  expect(parked).toEqual([]);
  expect(await pointsOf(store)).toBe(keys.length);
});

test("a user whose saves fail holds up nobody else, whatever the key", async () => {
  const memory = createMemoryProfileStore({ maxProfiles: 10 });
  const store: ProfileStore = {
    ...memory,
    async save(writes) {
      const results = await memory.save(writes.filter(({ user }) => user.userId !== "broken"));
      return writes.map(({ user }) =>
        user.userId === "broken" ? { outcome: "failed", error: new Error("WRONGTYPE") } : results.shift()!,
      );
    },
  };
  const own = Array.from({ length: 2 * smallFlowLimits.maxUpdatesPerTurn }, (_, index) => ({
    key: "shop:broken",
    payload: { ...envelope(index + 1), userId: "broken" },
  }));
  const { flow, acknowledged, parked } = start(store, [
    ...own,
    { key: "shop:broken", payload: envelope(1) },
    { key: "shop:broken", payload: "{" },
  ]);
  await until("the others are acknowledged", () => acknowledged.length === 2);
  expect(parked).toEqual(["shop:broken not_json"]);
  expect(await pointsOf(memory)).toBe(1);
  expect(flow.counts()).toMatchObject({ messages: own.length });
  await flow.drain(1);
});

test.each<{ policy: HotUserPolicy; counted: number; skipped?: number; parked?: number }>([
  { policy: { updatesPerSecond: 10, over: "fold" }, counted: 40 },
  { policy: { updatesPerSecond: 10, over: "skip" }, counted: 10, skipped: 30 },
  { policy: { updatesPerSecond: 10, over: "sample" }, counted: 13, skipped: 27 },
  { policy: { updatesPerSecond: 10, over: "sample", oneIn: 2 }, counted: 25, skipped: 15 },
  { policy: { updatesPerSecond: 10, over: "park" }, counted: 10, parked: 30 },
])("of 40 updates of a user in a second, $policy applies $counted", async (expected) => {
  const store = createMemoryProfileStore({ maxProfiles: 10 });
  const hot = Array.from({ length: 40 }, (_, index) => ({ key: "shop:42", payload: envelope(index + 1) }));
  const other = { key: "shop:7", payload: { ...envelope(1), userId: "7" } };
  const { flow, acknowledged, parked, registry } = start(store, [...hot, other], expected.policy);
  await until("all is acknowledged", () => acknowledged.length === 41);
  expect(await pointsOf(store)).toBe(expected.counted);
  expect((await profileOf(store)).updates).toBe(40 - (expected.parked ?? 0));
  expect(await store.load({ tenant: "shop", userId: "7" })).toBeDefined();
  expect(parked).toEqual(Array(expected.parked ?? 0).fill("shop:42 user_over_limit"));
  const { values } = await registry.getSingleMetric("keyline_over_user_limit_total")!.get();
  expect(Object.fromEntries(values.map(({ labels, value }) => [labels.verdict, value]))).toEqual({
    ...(expected.skipped && { skip: expected.skipped }),
    ...(expected.parked && { park: expected.parked }),
  });
  await until("nothing is in hand", () => flow.counts().users === 0);
});

test("what came under a key that many users share is over no limit for the others' sake", async () => {
  const store = createMemoryProfileStore({ maxProfiles: 100 });
  const users = Array.from({ length: 30 }, (_, index) => `user-${index}`);
  const shared = users.map((userId) => ({ key: "", payload: { ...minimal, userId } }));
  const policy = { updatesPerSecond: 10, over: "skip" } as const;
  const { flow, acknowledged } = start(store, shared, policy);
  await until("all is acknowledged", () => acknowledged.length === users.length);
  for (const userId of users) expect(await store.load({ tenant: "shop", userId }), userId).toBeDefined();
  await until("nothing is in hand", () => flow.counts().users === 0);
});

test("a policy that changes while an update is folded is for what comes then", async () => {
  const memory = createMemoryProfileStore({ maxProfiles: 10 });
  let policy: HotUserPolicy | undefined;
  let failures = 1;
  const store: ProfileStore = {
    ...memory,
    async save(writes) {
      policy = { updatesPerSecond: 1, over: "skip" };
      failures -= 1;
      if (failures >= 0) return writes.map(() => ({ outcome: "failed", error: new Error("away") }));
      return memory.save(writes);
    },
  };
  const messages = [1, 2, 3].map((seq) => ({ key: "shop:42", payload: envelope(seq) }));
  const { acknowledged } = start(store, messages, () => policy);
  await until("all is acknowledged", () => acknowledged.length === 3);
  expect(await pointsOf(memory)).toBe(3);
});

test("a tick is never over a limit", async () => {
  const store = createMemoryProfileStore({ maxProfiles: 10 });
  const tick = { ...envelope(2), ops: [{ kind: "tick", body: { due: NOW_MS } }] };
  const { acknowledged, registry } = start(
    store,
    [
      { key: "shop:42", payload: envelope(1) },
      { key: "shop:42", payload: tick },
    ],
    { updatesPerSecond: 1, over: "skip" },
  );
  await until("all is acknowledged", () => acknowledged.length === 2);
  const { values } = await registry.getSingleMetric("keyline_over_user_limit_total")!.get();
  expect(values).toEqual([]);
});

test("what was skipped leaves no gap in what was seen, and stays skipped when it is delivered again", async () => {
  const store = createMemoryProfileStore({ maxProfiles: 10 });
  const sampled = { updatesPerSecond: 1, over: "sample", oneIn: 3 } as const;
  const hot = Array.from({ length: 30 }, (_, index) => ({ key: "shop:42", payload: envelope(index + 1) }));
  const first = start(store, hot, sampled);
  await until("all is acknowledged", () => first.acknowledged.length === 30);
  const points = await pointsOf(store);
  expect((await profileOf(store)).seen.get("s")?.intervals).toEqual([1, 30]);
  const again = start(store, hot);
  await until("all is acknowledged again", () => again.acknowledged.length === 30);
  expect(await pointsOf(store)).toBe(points);
});
