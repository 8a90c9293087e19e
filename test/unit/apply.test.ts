import { expect, test } from "vitest";
import { apply } from "../../shared/domain/apply.ts";
import type { Update } from "../../shared/domain/envelope.ts";
import { EMPTY_PROFILE } from "../../shared/domain/profile.ts";
import { stampAt } from "../../shared/domain/stamp.ts";

const START_MS = 1_767_225_600_000;
const DAY_MS = 86_400_000;
const limits = { horizonMs: 30 * DAY_MS, maxSources: 128, maxIds: 32, idMemoryMs: DAY_MS };
const update = (seq: number, more: Partial<Update> = {}): Update => ({
  ...{ v: 1, tenant: "t", userId: "u", src: "s", seq, stamp: stampAt(START_MS) + seq, at: START_MS },
  ops: [{ kind: "increment", body: { points: 1 } }],
  ...more,
});

test("a repeat gives back the same profile", () => {
  const { profile } = apply(EMPTY_PROFILE, [update(1)], limits, START_MS);
  expect(apply(profile, [update(1), update(1)], limits, START_MS)).toMatchObject({
    profile,
    outcomes: ["repeat", "repeat"],
  });
  expect(apply(profile, [update(1)], limits, START_MS).profile).toBe(profile);
});

test("the profile tells its greatest stamp, whichever came last", () => {
  const { profile } = apply(EMPTY_PROFILE, [update(2), update(1)], limits, START_MS);
  expect(profile.lastStamp).toBe(stampAt(START_MS) + 2);
});

test("a number in a gap that had to be closed is not guessed at", () => {
  const scattered = Array.from({ length: 4_097 }, (_, i) => update(2 * i + 1));
  const { profile } = apply(EMPTY_PROFILE, scattered, limits, START_MS);
  const late = apply(profile, [update(2), update(4)], limits, START_MS);
  expect(late.outcomes).toEqual(["too_old_to_tell", "counted"]);
  expect(late.profile.counters.get("points")).toBe(4_098);
});

test("callers' ids are kept in the order they were counted in, until their time has passed", () => {
  const idsAfter = (ms: number, more: Partial<Update>) => {
    const { profile } = apply(
      EMPTY_PROFILE,
      [update(1, { id: "x" }), update(2, { id: "y" })],
      limits,
      START_MS,
    );
    return [...apply(profile, [update(3, more)], limits, START_MS + ms).profile.ids.keys()];
  };
  expect(idsAfter(DAY_MS, { id: "z" })).toEqual(["x", "y", "z"]);
  expect(idsAfter(DAY_MS + 1, { id: "z" })).toEqual(["z"]);
  expect(idsAfter(DAY_MS + 1, { id: "x" })).toEqual(["x"]);
});
