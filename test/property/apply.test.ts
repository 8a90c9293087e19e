import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { apply } from "../../shared/domain/apply.ts";
import { attributeChanges } from "../../shared/domain/attribute-changes.ts";
import type { Update } from "../../shared/domain/envelope.ts";
import { attributeJson, attributes, EMPTY_PROFILE, type Profile } from "../../shared/domain/profile.ts";
import { decodeProfile, encodeProfile } from "../../shared/domain/profile-record.ts";
import { stampAt } from "../../shared/domain/stamp.ts";
import { arbitraryDelivery, arbitraryUpdates, START_MS } from "../support/arbitrary-updates.ts";
import { expectedProfile } from "../support/oracle.ts";
import { visible } from "../support/visible.ts";

const DAY_MS = 86_400_000;
const limits = { horizonMs: 30 * DAY_MS, maxSources: 128, maxIds: 32, idMemoryMs: DAY_MS };
const schedule = arbitraryUpdates.chain((updates) =>
  fc.tuple(fc.constant(updates), arbitraryDelivery(updates)),
);
const fold = (batches: Update[][], from = EMPTY_PROFILE) =>
  batches.reduce((profile, batch) => apply(profile, batch, limits, START_MS).profile, from);

/** One turn that takes away a register and a set of the same name. */
const set: Update = {
  ...{ v: 1, tenant: "t", userId: "u", src: "s", seq: 1, stamp: stampAt(START_MS), at: START_MS },
  ops: [
    { kind: "set", body: { plan: "pro" } },
    { kind: "add", body: { plan: ["a"] } },
  ],
};
const unset: Update = {
  ...{ ...set, seq: 2, stamp: set.stamp + 1 },
  ops: [
    { kind: "unset", body: ["plan"] },
    { kind: "remove", body: { plan: ["a"] } },
  ],
};
const namedTwice: [Update[], Update[][]] = [
  [set, unset],
  [[set], [unset]],
];

describe("apply", () => {
  test("any order, any repetition and any batching gives the profile of the oracle", () => {
    fc.assert(
      fc.property(schedule, ([updates, batches]) => {
        expect(visible(fold(batches))).toEqual(expectedProfile(updates));
      }),
      { numRuns: 1000 },
    );
  });

  test("a profile survives its encoding at every step", () => {
    const lastUpdate = { id: "x", at: 0, path: "pulsar", appliedAtMs: 0, lagMs: 0 };
    fc.assert(
      fc.property(schedule, ([updates, batches]) => {
        const through = batches.reduce((profile, batch) => {
          const text = encodeProfile(apply(profile, batch, limits, START_MS).profile, lastUpdate);
          return decodeProfile(text).profile;
        }, EMPTY_PROFILE);
        expect(through).toEqual(fold(batches));
        expect(visible(through)).toEqual(expectedProfile(updates));
      }),
    );
  });

  test("the changed attribute fields turn the fields before into the fields after", () => {
    const fieldsOf = (profile: Profile) =>
      new Map(Object.keys(attributes(profile)).map((name) => [name, attributeJson(profile, name)] as const));
    fc.assert(
      fc.property(schedule, ([, batches]) => {
        const stored = new Map<string, string | undefined>();
        batches.reduce((before, batch) => {
          const after = apply(before, batch, limits, START_MS).profile;
          const { set, remove } = attributeChanges(before, after);
          for (const [name, json] of set) stored.set(name, json);
          for (const name of remove) expect(stored.delete(name)).toBe(true);
          expect(stored).toEqual(fieldsOf(after));
          return after;
        }, EMPTY_PROFILE);
      }),
      { examples: [[namedTwice]] },
    );
  });

  test("the profile before is never changed", () => {
    fc.assert(
      fc.property(schedule, ([, batches]) => {
        const before = fold(batches.slice(0, 1));
        const copy = structuredClone(before);
        fold(batches, before);
        expect(before).toEqual(copy);
      }),
    );
  });

  test("forgetting old sources and tombstones never counts twice nor brings a value back", () => {
    fc.assert(
      fc.property(schedule, fc.integer({ min: 0, max: 30 }), ([updates, batches], keep) => {
        const tight = { ...limits, horizonMs: 0, maxSources: 1 + (keep % 3) };
        let late = 0;
        let profile = EMPTY_PROFILE;
        const counted = new Set<Update>();
        for (const batch of batches) {
          late += 2 * DAY_MS;
          const { profile: next, outcomes } = apply(profile, batch, tight, START_MS + late);
          profile = next;
          for (const [i, update] of batch.entries()) {
            if (outcomes[i] !== "counted") continue;
            expect(counted.has(update)).toBe(false);
            counted.add(update);
          }
        }
        expect(visible(profile)).toEqual(expectedProfile(updates.filter((update) => counted.has(update))));
        expect(profile.seen.size).toBeLessThanOrEqual(tight.maxSources + batches.at(-1)!.length);
      }),
    );
  });
});

describe("a caller's id", () => {
  const update = (src: string, seq: number, id: string, amount = 1): Update => ({
    v: 1,
    tenant: "t",
    userId: "u",
    id,
    src,
    seq,
    stamp: stampAt(START_MS) + seq,
    at: START_MS,
    ops: [{ kind: "increment", body: { points: amount } }],
  });

  test("counts once, through whichever publisher it is retried", () => {
    const { profile, outcomes } = apply(
      EMPTY_PROFILE,
      [update("a", 1, "x"), update("b", 1, "x")],
      limits,
      START_MS,
    );
    expect(outcomes).toEqual(["counted", "repeat"]);
    expect(profile.counters.get("points")).toBe(1);
    const again = apply(profile, [update("b", 1, "x"), update("c", 9, "x")], limits, START_MS + DAY_MS);
    expect(again.outcomes).toEqual(["repeat", "repeat"]);
  });

  test("is forgotten after its time, and beyond the number that is kept", () => {
    const first = apply(EMPTY_PROFILE, [update("a", 1, "x")], limits, START_MS).profile;
    expect(apply(first, [update("b", 1, "x")], limits, START_MS + DAY_MS + 1).outcomes).toEqual(["counted"]);
    const many = Array.from({ length: 100 }, (_, i) => update("a", i + 2, `id${i}`));
    const full = apply(first, many, limits, START_MS).profile;
    expect([...full.ids.keys()]).toEqual(many.slice(-32).map(({ id }) => id));
  });
});
