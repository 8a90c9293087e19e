import { expect, test } from "vitest";
import { apply } from "../../shared/domain/apply.ts";
import type { Update } from "../../shared/domain/envelope.ts";
import { EMPTY_PROFILE } from "../../shared/domain/profile.ts";
import { decodeProfile, encodeProfile } from "../../shared/domain/profile-record.ts";

const limits = { horizonMs: 1_000_000, maxSources: 128, maxIds: 32, idMemoryMs: 1_000 };
const update = { v: 1, tenant: "t", userId: "u", at: 40 } as const;
const updates: Update[] = [
  {
    ...{ ...update, src: "a", seq: 1, stamp: 1_000, id: "order-1" },
    ops: [
      { kind: "set", body: { plan: "pro" } },
      { kind: "unset", body: ["city"] },
      { kind: "add", body: { tags: ["x"] } },
    ],
  },
  {
    ...{ ...update, src: "b", seq: 7, stamp: 1_010 },
    ops: [
      { kind: "remove", body: { tags: ["y"] } },
      { kind: "increment", body: { points: 1.5 } },
      { kind: "event", body: { name: "buy" } },
      { kind: "set", body: { age: 30 } },
    ],
  },
];
const lastUpdate = { id: "b-7", at: 40, path: "pulsar", appliedAtMs: 50, lagMs: 2 };
const profileOf = (counted: Update[]) => ({
  ...apply(EMPTY_PROFILE, counted, limits, 50).profile,
  ...{ mark: 3, prunedAtMs: 45 },
});

/** What stores hold of this format: a build that can't read it, or writes it otherwise, needs another number. */
const format2 = JSON.stringify([
  2,
  [2, 1_010, 3, 45],
  ["b-7", 40, "pulsar", 50, 2],
  ["a", "b"],
  ["plan", 10, 0, 1, "pro", "age", 0, 1, 7, 30],
  ["city", 10, 0, 1],
  ["points", 1.5],
  [["tags", '"x"', 1, 10, 0, 1, '"y"', 0, 0, 1, 7]],
  ["buy", 1, 40, 40],
  [
    [0, 10, 0, 1, 1],
    [1, 0, 0, 7, 7],
  ],
  ["order-1", 50],
]);

test("format 2 is written and read as it always was", () => {
  const profile = profileOf(updates);
  expect(encodeProfile(profile, lastUpdate)).toBe(format2);
  expect(decodeProfile(format2)).toEqual({ profile, lastUpdate });
});

test("another format is refused by its number", () => {
  expect(() => decodeProfile(format2.replace("[2,", "[1,"))).toThrow(
    "profile format 1: this build reads 2 and 3",
  );
});
