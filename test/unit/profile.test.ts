import { expect, test } from "vitest";
import { apply } from "../../shared/domain/apply.ts";
import type { Operation } from "../../shared/domain/envelope.ts";
import {
  attributeJson,
  attributeNames,
  attributes,
  attributeValue,
  EMPTY_PROFILE,
} from "../../shared/domain/profile.ts";

const limits = { horizonMs: 1, maxSources: 1, maxIds: 1, idMemoryMs: 1 };
const profileOf = (...ops: Operation[]) => {
  const update = { v: 1, tenant: "t", userId: "u", src: "s", seq: 1, stamp: 1, at: 0, ops } as const;
  return apply(EMPTY_PROFILE, [update], limits, 0).profile;
};

test("a set is read as the array of its members, in the order of their JSON text", () => {
  const profile = profileOf({ kind: "add", body: { tags: ["b", true, "a", 10] } });
  expect(attributeValue(profile, "tags")).toEqual(["a", "b", 10, true]);
  expect(attributeJson(profile, "tags")).toBe('["a","b",10,true]');
});

test("a counter's JSON has all of its digits, its value is the nearest number", () => {
  const profile = profileOf(
    { kind: "increment", body: { total: 1e15 } },
    { kind: "increment", body: { total: 1e-12 } },
  );
  expect(attributeJson(profile, "total")).toBe("1000000000000000.000000000001");
  expect(attributeValue(profile, "total")).toBe(1e15);
});

test("a register hides a set, a set hides a counter, and nothing hides what is taken away", () => {
  const ops: Operation[] = [
    { kind: "increment", body: { a: 1 } },
    { kind: "add", body: { a: ["x"] } },
    { kind: "set", body: { a: null } },
    { kind: "unset", body: ["a"] },
    { kind: "remove", body: { a: ["x"] } },
  ];
  const reads = ops.map((_, i) => profileOf(...ops.slice(0, i + 1)));
  expect(reads.map((profile) => attributeValue(profile, "a"))).toEqual([1, ["x"], null, ["x"], 1]);
  expect(reads.map((profile) => attributeJson(profile, "a"))).toEqual(["1", '["x"]', "null", '["x"]', "1"]);
});

test("names are in rising order, and those without a value are no attributes", () => {
  const profile = profileOf(
    { kind: "set", body: { m: 1, c: 1 } },
    { kind: "add", body: { b: ["x"] } },
    { kind: "increment", body: { a: 1, c: 1 } },
    { kind: "unset", body: ["m", "gone"] },
  );
  expect(attributeNames(profile)).toEqual(["a", "b", "c", "gone", "m"]);
  expect(attributes(profile)).toEqual({ a: 1, b: ["x"], c: 1 });
});
