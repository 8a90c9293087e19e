import { expect, test } from "vitest";
import type { Arrival, Fate } from "../../services/audience-update/fold-turn.ts";
import type { Turn } from "../../services/audience-update/mailboxes.ts";
import { createProfileCache } from "../../services/audience-update/profile-cache.ts";
import { type RoundOptions, runRound } from "../../services/audience-update/run-round.ts";
import { createMemoryProfileStore } from "../../shared/adapters/memory/memory-profile-store.ts";
import type { Update } from "../../shared/domain/envelope.ts";
import { decodeProfile } from "../../shared/domain/profile-record.ts";
import { stampAt } from "../../shared/domain/stamp.ts";
import type { ProfileStore } from "../../shared/ports/profile-store.ts";
import { compiled } from "../support/compiled.ts";
import { noDefinitions } from "../support/no-definitions.ts";

const NOW_MS = Date.UTC(2026, 10, 21);
const user = { tenant: "shop", userId: "42" };
const limits = {
  maxProfileLength: 1_000_000,
  horizonMs: 30 * 86_400_000,
  maxSources: 128,
  maxIds: 32,
  idMemoryMs: 86_400_000,
};

function update(seq: number): Update {
  const ops: Update["ops"] = [{ kind: "increment", body: { points: 1 } }];
  return { v: 1, ...user, src: "s", seq, stamp: stampAt(NOW_MS) + seq, at: NOW_MS, ops };
}

/** A process: its cache, and rounds on any store. */
function createProcess(dependencies: Pick<RoundOptions<Arrival>, "definitions" | "effects"> = noDefinitions) {
  const cache = createProfileCache({ maxBytes: 1_000_000 });
  return async (store: ProfileStore, ...updates: Update[]) => {
    const fates: string[] = [];
    let conflicts = 0;
    const items: Arrival[] = updates.map((each) => ({ update: each, path: "pulsar" }));
    const turn: Turn<Arrival> = { key: "shop:42", items, failures: 0 };
    const { unsettled } = await runRound([turn], {
      ...dependencies,
      store,
      cache,
      limits,
      now: () => NOW_MS,
      open: (_, held) => held.map((item) => ({ ...item, item })),
      settle: (_, settled: readonly Fate[]) => void fates.push(...settled.map(({ outcome }) => outcome)),
      unreadable: new Set(),
      onConflict: () => {
        conflicts += 1;
      },
      onFailure: () => {},
    });
    return { fates, conflicts, unsettled: unsettled.size };
  };
}

async function points(store: ProfileStore): Promise<unknown> {
  const record = await store.load(user);
  return record && decodeProfile(record.machinery).profile.counters.get("points");
}

test("a repeat that the cache knows is acknowledged on the store's word only", async () => {
  const run = createProcess();
  const store = createMemoryProfileStore({ maxProfiles: 10 });
  expect(await run(store, update(1))).toEqual({ fates: ["counted"], conflicts: 0, unsettled: 0 });
  expect(await run(store, update(1))).toEqual({ fates: ["repeat"], conflicts: 0, unsettled: 0 });
  const forgetful = createMemoryProfileStore({ maxProfiles: 10 });
  expect(await run(forgetful, update(1))).toEqual({ fates: ["counted"], conflicts: 1, unsettled: 0 });
  expect(await points(forgetful)).toBe(1);
});

test("a turn that lost its race is folded on what the store has, and counts nothing twice", async () => {
  const store = createMemoryProfileStore({ maxProfiles: 10 });
  const [one, other] = [createProcess(), createProcess()];
  await one(store, update(1));
  expect(await other(store, update(1), update(2))).toEqual({
    fates: ["repeat", "counted"],
    conflicts: 1,
    unsettled: 0,
  });
  expect(await one(store, update(2), update(3))).toEqual({
    fates: ["repeat", "counted"],
    conflicts: 1,
    unsettled: 0,
  });
  expect(await points(store)).toBe(3);
});

test("what the store fails stays with its user, and counts once when it is run again", async () => {
  const run = createProcess();
  const store = createMemoryProfileStore({ maxProfiles: 10 });
  const broken: ProfileStore = { ...store, save: async () => Promise.reject(new Error("away")) };
  expect(await run(broken, update(1))).toEqual({ fates: [], conflicts: 0, unsettled: 1 });
  expect(await run(store, update(1))).toEqual({ fates: ["counted"], conflicts: 0, unsettled: 0 });
  expect(await points(store)).toBe(1);
});

test("what was too dear for one round is left, and counts in the next ones", async () => {
  const run = createProcess();
  const store = createMemoryProfileStore({ maxProfiles: 10 });
  const filled = { ...update(1), ops: [{ kind: "set" as const, body: { filler: "x".repeat(999_500) } }] };
  await run(store, filled);
  const large = Array.from({ length: 20 }, (_, n) => ({
    ...update(n + 2),
    ops: [{ kind: "set" as const, body: { [`more${n}`]: "y".repeat(500) } }],
  }));
  const { fates, unsettled } = await run(store, ...large, update(22));
  expect([fates.length < 20, unsettled]).toEqual([true, 1]);
  expect(await points(store)).toBeUndefined();
  expect(await run(store, ...large.slice(19), update(22))).toMatchObject({
    fates: ["refused", "counted"],
    unsettled: 0,
  });
  expect(await points(store)).toBe(1);
});

test("a tick of a user that the cache lacks meets the profile that the store has", async () => {
  const definitions = compiled({ audiences: { some: { rule: "points > 0.0" } } });
  const dependencies = {
    definitions: { ...noDefinitions.definitions, of: () => definitions },
    effects: { carryOut: (effects: readonly unknown[]) => effects.map(() => Promise.resolve(true)) },
  };
  const store = createMemoryProfileStore({ maxProfiles: 10 });
  const due = NOW_MS + 5_000;
  const tick = { ...update(9), stamp: stampAt(due), ops: [{ kind: "tick" as const, body: { due } }] };
  expect((await createProcess(dependencies)(store, tick)).fates).toEqual(["repeat"]);
  await createProcess(dependencies)(store, update(1));
  const { fates, unsettled } = await createProcess(dependencies)(store, tick);
  expect({ fates, unsettled }).toEqual({ fates: ["ticked"], unsettled: 0 });
  const { profile } = decodeProfile((await store.load(user))!.machinery);
  expect(profile.calculated?.asOfMs).toBe(due);
});
