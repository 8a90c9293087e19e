import { expect, test } from "vitest";
import type { Arrival, Fate } from "../../services/audience-update/fold-turn.ts";
import type { Turn } from "../../services/audience-update/mailboxes.ts";
import { createProfileCache } from "../../services/audience-update/profile-cache.ts";
import { runRound } from "../../services/audience-update/run-round.ts";
import { createEffectRunner } from "../../services/audience-update/turn-effects.ts";
import { createMemoryDueStore } from "../../shared/adapters/memory/memory-due-store.ts";
import { createMemoryMemberStore } from "../../shared/adapters/memory/memory-member-store.ts";
import { createMemoryProfileStore } from "../../shared/adapters/memory/memory-profile-store.ts";
import type { CompiledDefinitions } from "../../shared/domain/definitions/compile.ts";
import type { Update } from "../../shared/domain/envelope.ts";
import type { MembershipChange } from "../../shared/domain/membership-change.ts";
import { decodeProfile } from "../../shared/domain/profile-record.ts";
import { stampAt } from "../../shared/domain/stamp.ts";
import { compiled } from "../support/compiled.ts";
import { until } from "../support/until.ts";

const NOW_MS = Date.UTC(2026, 10, 21);
const DAY_MS = 86_400_000;
const user = { tenant: "shop", userId: "42" };
const limits = {
  maxProfileLength: 1_000_000,
  horizonMs: 30 * DAY_MS,
  maxSources: 128,
  maxIds: 32,
  idMemoryMs: DAY_MS,
};
const definitions = compiled({
  attributes: { orders_1d: { event: "order", aggregate: "count", window: "24h" } },
  audiences: { buyers: { rule: "orders_1d >= 1" }, regulars: { rule: "orders_1d >= 2" } },
});

function order(seq: number): Update {
  const ops: Update["ops"] = [{ kind: "event", body: { name: "order" } }];
  return { v: 1, ...user, src: "s", seq, stamp: stampAt(NOW_MS) + seq, at: NOW_MS, ops };
}

/** Stores that all processes share, and what was announced. */
function createWorld() {
  const store = createMemoryProfileStore({ maxProfiles: 10 });
  const dueStore = createMemoryDueStore({ maxEntries: 100 });
  const memberStore = createMemoryMemberStore({ maxEntries: 100 });
  const announced: string[] = [];
  const members = (audience: string) =>
    memberStore.page({ tenant: "shop", audience, version: 1 }, undefined, 10).then(({ userIds }) => userIds);
  const record = async () => decodeProfile((await store.load(user))!.machinery).profile.calculated!;
  return { store, dueStore, memberStore, announced, members, record };
}

/** A process; one that has `crashed` announces nothing and tells no store any more. */
function createProcess(world: ReturnType<typeof createWorld>, current: CompiledDefinitions = definitions) {
  const process = { crashed: false, definitions: current, refreshed: 0 };
  const cache = createProfileCache({ maxBytes: 1_000_000 });
  const forever = new Promise<never>(() => {});
  const unlessCrashed = <T>(work: () => Promise<T>) => (process.crashed ? forever : work());
  const effects = createEffectRunner({
    dueStore: { add: (entries) => unlessCrashed(() => world.dueStore.add(entries)) },
    memberStore: { record: (entries) => unlessCrashed(() => world.memberStore.record(entries)) },
    announcer: {
      announce: (_: unknown, changes: readonly MembershipChange[]) =>
        unlessCrashed(async () => {
          world.announced.push(...changes.map(({ audience, number }) => `${audience} ${number}`));
          return true;
        }),
    },
    restMs: () => 1,
    onError() {},
  });
  const run = async (...updates: Update[]) => {
    const fates: string[] = [];
    const items: Arrival[] = updates.map((update) => ({ update, path: "pulsar" }));
    const turn: Turn<Arrival> = { key: "shop:42", items, failures: 0 };
    const { unsettled, finishing } = await runRound([turn], {
      store: world.store,
      cache,
      definitions: {
        isFresh: () => true,
        async refresh() {
          process.refreshed += 1;
          process.definitions = definitions;
        },
        of: () => process.definitions,
      },
      effects,
      limits,
      now: () => NOW_MS,
      open: (_, held) => held.map((item) => ({ ...item, item })),
      settle: (_, settled: readonly Fate[]) => void fates.push(...settled.map(({ outcome }) => outcome)),
      unreadable: new Set(),
      onConflict() {},
      onFailure() {},
    });
    if (process.crashed) return { fates, unsettled: unsettled.size };
    await Promise.all(finishing.values());
    return { fates, unsettled: unsettled.size };
  };
  return Object.assign(process, { run, close: effects.close });
}

test("a change is announced, listed and due before its update is settled, and forgotten by the next write", async () => {
  const world = createWorld();
  const { run } = createProcess(world);
  expect(await run(order(1))).toEqual({ fates: ["counted"], unsettled: 0 });
  expect(world.announced).toEqual(["buyers 1"]);
  expect(await world.members("buyers")).toEqual(["42"]);
  expect(await world.dueStore.waiting()).toMatchObject({ entries: 1 });
  expect((await world.record()).pending).toHaveLength(1);
  await run(order(2));
  expect(world.announced).toEqual(["buyers 1", "regulars 1"]);
  expect((await world.record()).pending).toMatchObject([{ changes: [{ number: 1 }] }]);
  await run(order(3));
  expect((await world.record()).pending).toEqual([]);
  expect(world.announced).toHaveLength(2);
  expect((await world.dueStore.waiting()).entries).toBe(1);
});

test("what a process saved and did not announce is announced by who gets the message again", async () => {
  const world = createWorld();
  const first = createProcess(world);
  first.crashed = true;
  expect((await first.run(order(1))).fates).toEqual([]);
  expect(world.announced).toEqual([]);
  const second = createProcess(world);
  expect((await second.run(order(1))).fates).toEqual(["repeat"]);
  expect(world.announced).toEqual(["buyers 1"]);
  expect(await world.members("buyers")).toEqual(["42"]);
  expect((await world.dueStore.waiting()).entries).toBe(1);
});

test("a new change goes out behind those that another process left, in their order", async () => {
  const world = createWorld();
  const first = createProcess(world);
  first.crashed = true;
  await first.run(order(1));
  await createProcess(world).run(order(2));
  expect(world.announced).toEqual(["buyers 1", "regulars 1"]);
});

test("a turn that has nothing to tell leaves what another process did not announce", async () => {
  const world = createWorld();
  const first = createProcess(world);
  first.crashed = true;
  await first.run(order(1));
  const second = createProcess(world);
  const { dueMs } = { dueMs: (await world.record()).alarmMs - 1_000 };
  // Too early: it moves nothing but the user's moment.
  const tick = { ...order(2), stamp: stampAt(dueMs), ops: [{ kind: "tick" as const, body: { due: dueMs } }] };
  expect((await second.run(tick)).fates).toEqual(["ticked"]);
  expect(world.announced).toEqual([]);
  expect((await second.run(order(1))).fates).toEqual(["repeat"]);
  expect(world.announced).toEqual(["buyers 1"]);
});

test("a repeat tells again what may not have been told, and a turn without news nothing", async () => {
  const world = createWorld();
  const { run } = createProcess(world);
  await run(order(1), order(2));
  await createProcess(world).run(order(2));
  expect(world.announced).toEqual(["buyers 1", "regulars 1", "buyers 1", "regulars 1"]);
  await run(order(1));
  await createProcess(world).run(order(3));
  expect(world.announced).toHaveLength(4);
});

test("a stalled process can't undo a later change in the list of members", async () => {
  const world = createWorld();
  const { run } = createProcess(world);
  await run(order(1));
  const left = { tenant: "shop", audience: "buyers", version: 1, userId: "42", number: 2 };
  await world.memberStore.record([left]);
  await world.memberStore.record([{ ...left, number: 1 }]);
  expect(await world.members("buyers")).toEqual([]);
});

test("a process with older definitions fetches the newer before it folds", async () => {
  const world = createWorld();
  await createProcess(world).run(order(1));
  const behind = createProcess(world, compiled({}, { version: 0 }));
  expect((await behind.run(order(2))).fates).toEqual(["counted"]);
  expect(behind.refreshed).toBe(1);
  expect(new Set(world.announced)).toEqual(new Set(["buyers 1", "regulars 1"]));
});

test("while a store is away it is tried again, and the update stays in hand", async () => {
  const world = createWorld();
  let failures = 3;
  const { record } = world.memberStore;
  world.memberStore.record = async (entries) => {
    failures -= 1;
    if (failures >= 0) throw new Error("away");
    return record(entries);
  };
  const { run } = createProcess(world);
  expect((await run(order(1))).fates).toEqual(["counted"]);
  await until("it is told", async () => (await world.members("buyers")).length === 1);
  expect(failures).toBe(-1);
});
