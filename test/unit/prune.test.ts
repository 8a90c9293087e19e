import { describe, expect, test } from "vitest";
import { apply } from "../../shared/domain/apply.ts";
import type { Operation, Update } from "../../shared/domain/envelope.ts";
import { EMPTY_PROFILE, type Profile } from "../../shared/domain/profile.ts";
import { prune } from "../../shared/domain/prune.ts";
import { stampAt } from "../../shared/domain/stamp.ts";

const START_MS = 1_767_225_600_000;
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const limits = { horizonMs: 30 * DAY_MS, maxSources: 3, maxIds: 32, idMemoryMs: DAY_MS };

const update = (src: string, atMs: number, ...ops: Operation[]): Update => ({
  ...{ v: 1, tenant: "t", userId: "u", src, seq: 1, stamp: stampAt(atMs), at: atMs },
  ops: ops.length > 0 ? ops : [{ kind: "event", body: { name: "e" } }],
});
/** The profile after these updates, all of them counted at the start. */
const profileOf = (...updates: Update[]): Profile => apply(EMPTY_PROFILE, updates, limits, START_MS).profile;
const sources = (profile: Profile) => [...profile.seen.keys()].sort();
/** When an update of the start is exactly as old as the horizon. */
const HORIZON_MS = START_MS + limits.horizonMs;

describe("a profile is looked through", () => {
  test("once a day", () => {
    const profile = profileOf(update("a", START_MS));
    expect(prune(profile, limits, START_MS + DAY_MS - 1)).toBe(profile);
    expect(prune(profile, limits, START_MS + DAY_MS)).toEqual({ ...profile, prunedAtMs: START_MS + DAY_MS });
  });

  test("before that when it has too many sources", () => {
    const now = START_MS + 20 * MINUTE_MS;
    const full = profileOf(...["a", "b", "c"].map((src) => update(src, START_MS)));
    expect(prune(full, limits, now)).toBe(full);
    const beyond = profileOf(...["a", "b", "c", "d"].map((src) => update(src, START_MS)));
    expect(prune(beyond, limits, now)).toMatchObject({ prunedAtMs: now });
  });

  test("for nothing while nothing was counted", () => {
    expect(prune(EMPTY_PROFILE, limits, START_MS)).toEqual({ ...EMPTY_PROFILE, prunedAtMs: START_MS });
  });
});

describe("beyond the horizon", () => {
  test("a source is forgotten, and the mark stands where it was last heard from", () => {
    const profile = profileOf(
      update("old", START_MS - 5),
      update("older", START_MS - 9),
      update("young", START_MS),
    );
    const pruned = prune(profile, limits, HORIZON_MS);
    expect(sources(pruned)).toEqual(["young"]);
    expect(pruned.mark).toBe(stampAt(START_MS - 5));
    expect(apply(pruned, [update("old", START_MS - 5)], limits, HORIZON_MS).outcomes).toEqual([
      "too_old_to_tell",
    ]);
  });

  test("a tombstone of a register is forgotten, a value stays", () => {
    const unset: Operation = { kind: "unset", body: ["gone"] };
    const profile = profileOf(
      update("a", START_MS - 1, unset, { kind: "set", body: { plan: "pro" } }),
      update("b", START_MS, { kind: "unset", body: ["going"] }),
    );
    const pruned = prune({ ...profile, seen: new Map() }, limits, HORIZON_MS);
    expect([...pruned.registers.keys()].sort()).toEqual(["going", "plan"]);
    expect(pruned.mark).toBe(stampAt(START_MS - 1));
  });

  test("a tombstone of a set's member is forgotten, and the set with its last one", () => {
    const profile = profileOf(
      update("a", START_MS - 1, { kind: "remove", body: { tags: ["x"], empty: ["x"] } }),
      update(
        "b",
        START_MS,
        { kind: "add", body: { tags: ["y"] } },
        { kind: "remove", body: { tags: ["z"] } },
      ),
    );
    const pruned = prune({ ...profile, seen: new Map() }, limits, HORIZON_MS);
    expect([...pruned.sets].map(([name, set]) => [name, [...set.keys()]])).toEqual([
      ["tags", ['"y"', '"z"']],
    ]);
    expect(pruned.mark).toBe(stampAt(START_MS - 1));
  });

  test("the mark never falls", () => {
    const profile = { ...profileOf(update("a", START_MS - 1)), mark: stampAt(START_MS) };
    expect(prune(profile, limits, HORIZON_MS).mark).toBe(stampAt(START_MS));
  });
});

describe("beyond the number of sources", () => {
  const heard = () => ["c", "a", "e", "b", "d"].map((src, i) => update(src, START_MS + i * MINUTE_MS));
  const lastHeardMs = START_MS + 4 * MINUTE_MS;

  test("those are forgotten that were heard from longest ago, and the mark stands above them", () => {
    const pruned = prune(profileOf(...heard().toReversed()), limits, lastHeardMs + 20 * MINUTE_MS);
    expect(sources(pruned)).toEqual(["b", "d", "e"]);
    expect(pruned.mark).toBe(stampAt(START_MS + MINUTE_MS));
  });

  test("those stay that were heard from in the last 15 minutes", () => {
    const pruned = prune(profileOf(...heard().toReversed()), limits, START_MS + 16 * MINUTE_MS);
    expect(sources(pruned)).toEqual(["a", "b", "d", "e"]);
    expect(pruned.mark).toBe(stampAt(START_MS));
  });
});
