import { expect, test } from "vitest";
import { createHotUsers } from "../../services/audience-update/hot-users.ts";

test("who had most in the last whole second, most first, and nobody once it is quiet", () => {
  let nowMs = 0;
  const users = createHotUsers({ policyOf: () => undefined, now: () => nowMs });
  const arrive = (key: string, times: number) => {
    for (let left = times; left > 0; left -= 1) users.arrived(key);
  };
  arrive("shop:1", 10);
  arrive("shop:2", 30);
  expect(users.top()).toEqual([]);
  nowMs = 1_000;
  arrive("shop:1", 5);
  expect(users.top()).toEqual([
    { key: "shop:2", updatesPerSecond: 30 },
    { key: "shop:1", updatesPerSecond: 10 },
  ]);
  nowMs = 2_000;
  expect(users.top()).toEqual([{ key: "shop:1", updatesPerSecond: 5 }]);
  nowMs = 10_000;
  expect(users.top()).toEqual([]);
});

test("arrivals are counted anew each second", () => {
  let nowMs = 0;
  const users = createHotUsers({ policyOf: () => undefined, now: () => nowMs });
  expect([users.arrived("a"), users.arrived("a"), users.arrived("b")]).toEqual([1, 2, 1]);
  nowMs = 1_000;
  expect(users.arrived("a")).toBe(1);
});
