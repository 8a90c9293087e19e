import { expect, test } from "vitest";
import { createProfileCache } from "../../services/audience-update/profile-cache.ts";

const record = (machinery: string, version = "1.a") => ({ version, machinery });

test("gives back what was put last, whatever its characters", () => {
  const cache = createProfileCache({ maxBytes: 1_000_000 });
  cache.put("shop:å", record('["é","漢","😀"]', "7.x"));
  expect(cache.get("shop:å")).toEqual(record('["é","漢","😀"]', "7.x"));
  cache.put("shop:å", record("[]", "8.x"));
  expect(cache.get("shop:å")).toEqual(record("[]", "8.x"));
  expect(cache.size()).toBe(1);
  cache.forget("shop:å");
  expect(cache.get("shop:å")).toBeUndefined();
  expect(cache.size()).toBe(0);
});

test("a record that outgrows its place moves, and its neighbours stay as they are", () => {
  const cache = createProfileCache({ maxBytes: 1_000_000 });
  const lengths = [10, 12, 13, 50, 20, 3_000, 1];
  for (const length of lengths) {
    cache.put("before", record("b".repeat(30)));
    cache.put("grows", record("g".repeat(length)));
    cache.put("after", record("a".repeat(30)));
    expect(cache.get("before")).toEqual(record("b".repeat(30)));
    expect(cache.get("grows")).toEqual(record("g".repeat(length)));
    expect(cache.get("after")).toEqual(record("a".repeat(30)));
  }
  expect(cache.size()).toBe(3);
});

test("keeps at least the users written last, and no more than fit", () => {
  const cache = createProfileCache({ maxBytes: 1_000_000 });
  for (let user = 0; user < 10_000; user++) cache.put(`user-${user}`, record(`${user}`.padEnd(400)));
  expect(cache.size()).toBeLessThan(1_000_000 / 500);
  expect(cache.size()).toBeGreaterThan(500);
  for (let user = 9_999; user > 9_500; user--)
    expect(cache.get(`user-${user}`)).toEqual(record(`${user}`.padEnd(400)));
  expect(cache.get("user-0")).toBeUndefined();
});

test("a user written again and again takes no room from the others", () => {
  const cache = createProfileCache({ maxBytes: 1_000_000 });
  cache.put("quiet", record("q"));
  for (let write = 0; write < 100_000; write++) cache.put("hot", record("h".repeat(400), `${write}.a`));
  expect(cache.get("quiet")).toEqual(record("q"));
  expect(cache.get("hot")).toEqual(record("h".repeat(400), "99999.a"));
});

test("a record too long to be kept is forgotten, also its earlier form, and drives out no other", () => {
  const cache = createProfileCache({ maxBytes: 1_000_000 });
  cache.put("small", record("s"));
  cache.put("large", record("l"));
  cache.put("large", record("漢".repeat(200_000)));
  expect(cache.get("large")).toBeUndefined();
  expect(cache.get("small")).toEqual(record("s"));
  cache.put("large", record("漢".repeat(120_000)));
  expect(cache.get("large")).toEqual(record("漢".repeat(120_000)));
});
