import { expect, test, vi } from "vitest";
import { apply } from "../../shared/domain/apply.ts";
import { calculatedView } from "../../shared/domain/calculated-view.ts";
import { countOf } from "../../shared/domain/definitions/aggregate-numbers.ts";
import type { CompiledDefinitions } from "../../shared/domain/definitions/compile.ts";
import { readersOf } from "../../shared/domain/definitions/readers.ts";
import { firstFrom } from "../../shared/domain/definitions/thresholds.ts";
import type { Update } from "../../shared/domain/envelope.ts";
import { EMPTY_PROFILE } from "../../shared/domain/profile.ts";
import { stampAt } from "../../shared/domain/stamp.ts";
import { compiled as compiledFrom } from "../support/compiled.ts";

const START_MS = Date.UTC(2026, 5, 1);
const orders = { event: "order", aggregate: "count" };

function compiled(attributes: object, rules: Record<string, string>): CompiledDefinitions {
  const audiences = Object.fromEntries(Object.entries(rules).map(([name, rule]) => [name, { rule }]));
  return compiledFrom({ attributes, audiences });
}

function readersOfOrders(rules: Record<string, string>, more: object = {}) {
  const definitions = compiled({ orders, ...more }, rules);
  const { always, thresholds, audiences } = readersOf(
    definitions.attributes[definitions.attributeAt.get("orders")!]!,
    definitions,
  );
  const nameOf = (place: number) => definitions.audiences[place]!.name;
  return {
    always: always.map(nameOf),
    thresholds: [...thresholds].map((each, at) => [each, nameOf(audiences[at]!)]),
  };
}

test("comparisons with fixed numbers are thresholds, on either side and of any sign", () => {
  const { always, thresholds } = readersOfOrders({
    a: "orders >= 3 && plan == 'gold'",
    b: "-2 < orders || orders == 7",
    c: "orders < 2.5",
  });
  expect(always).toEqual([]);
  expect(thresholds).toEqual([
    [-2, "b"],
    [2.5, "c"],
    [3, "a"],
    [7, "b"],
  ]);
});

test("to all other rules every change matters", () => {
  const rules = {
    computes: "orders % 2 == 0",
    compares_with_another: "orders > visits",
    passes_it_on: "orders in [1, 2]",
    too_large_for_a_double: "orders > 9007199254740993",
    reads_another_audience: "computes && orders > 3",
    reads_a_derived_attribute: "twice > 3 && orders > 3",
  };
  const { always, thresholds } = readersOfOrders(rules, { twice: { derive: "orders * 2" } });
  expect(always.sort()).toEqual(Object.keys(rules).sort());
  expect(thresholds).toEqual([]);
});

test("of a thousand audiences those are evaluated whose threshold an update crosses", () => {
  const definitions = compiled(
    { orders },
    Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [`over_${n}`, `orders > ${n}`])),
  );
  let profile = EMPTY_PROFILE;
  for (let seq = 1; seq <= 100; seq += 1)
    profile = apply(profile, [orderOf(seq)], LIMITS, START_MS, definitions).profile;
  expect(profile.calculated!.numbers).toHaveLength(2 * 100);
  const evaluations = definitions.audiences.reduce((sum, { cost }) => sum + cost.evaluations, 0);
  // The two between which the count goes, also of a new user.
  expect(evaluations).toBe(100 * 2);
});

test("a rule with `now` is evaluated when its moment comes, not with every update", () => {
  const trials = Array.from({ length: 100 }, (_, n) => [
    `trial_${n}`,
    `now < timestamp("2026-06-01T00:00:${10 + Math.floor(n / 2)}Z")`,
  ]);
  const definitions = compiled({ orders }, Object.fromEntries(trials));
  let profile = EMPTY_PROFILE;
  for (let seq = 1; seq <= 9; seq += 1)
    profile = apply(profile, [orderOf(seq)], LIMITS, START_MS, definitions).profile;
  const evaluations = () => definitions.audiences.reduce((sum, { cost }) => sum + cost.evaluations, 0);
  expect(evaluations()).toBe(100);
  expect(profile.calculated?.alarmMs).toBe(START_MS + 10_000);
  profile = apply(profile, [orderOf(10)], LIMITS, START_MS, definitions).profile;
  expect(evaluations()).toBe(200);
  expect(calculatedView(profile, definitions).audiences).toHaveLength(98);
});

test("time that takes a windowed count over no threshold of a rule is waited for once: when nothing is left", () => {
  const hourly = { event: "order", aggregate: "count", window: "1h" } as const;
  const alarmAfter = (rule: string, orders: number, more: object = {}) => {
    const definitions = compiled({ orders: hourly, ...more }, { some: rule });
    const updates = Array.from({ length: orders }, (_, n) => orderOf(n + 1));
    const { profile } = apply(EMPTY_PROFILE, updates, LIMITS, START_MS, definitions);
    return profile.calculated!.alarmMs - START_MS;
  };
  // One order a second, in buckets of a minute: 59 in the first, 60 in the second, the rest in the third.
  const leaves = (minute: number) => 3_600_000 + minute * 60_000;
  expect(alarmAfter("orders >= 5", 3)).toBe(leaves(1));
  expect(alarmAfter("orders >= 500", 150)).toBe(leaves(3));
  expect(alarmAfter("orders >= 5", 5)).toBe(leaves(1));
  expect(alarmAfter("orders >= 5", 150)).toBe(leaves(3));
  expect(alarmAfter("orders >= 100 || orders >= 5", 150)).toBe(leaves(1));
  expect(alarmAfter("orders == 150", 150)).toBe(leaves(1));
  // Who computes with it may say something else at each change.
  expect(alarmAfter("orders * 2 >= 10", 3)).toBe(leaves(1));
  expect(alarmAfter("twice >= 10", 3, { twice: { derive: "orders * 2" } })).toBe(leaves(1));
});

test("the next moment is looked for once in a turn, however many of its events an attribute counts", () => {
  const crossing = vi.spyOn(countOf, "crossing");
  const definitions = compiled({ orders: { ...orders, window: "1h" } }, { some: "orders >= 5" });
  const { profile } = apply(EMPTY_PROFILE, [orderOf(1)], LIMITS, START_MS, definitions);
  crossing.mockClear();
  const updates = Array.from({ length: 100 }, (_, n) => orderOf(n + 2));
  apply(profile, updates, LIMITS, START_MS, definitions);
  expect(crossing).toHaveBeenCalledTimes(1);
  crossing.mockRestore();
});

test("a comparison that is false decides, whatever the rest says", () => {
  const definitions = compiled({ orders }, { some: "orders >= 2 && -1 < orders && orders != 3 && plan > 7" });
  const member = (count: number) => {
    const updates = Array.from({ length: count }, (_, n) => orderOf(n + 1));
    const { profile } = apply(EMPTY_PROFILE, updates, LIMITS, START_MS, definitions);
    return profile.calculated!.numbers.length > 0;
  };
  // `plan` is missing, which is no failure: the rule can't be computed, and without it is false.
  expect([1, 2, 3, 4].map(member)).toEqual([false, false, false, false]);
  const { failures } = definitions.audiences[0]!.cost;
  expect(failures).toBe(0);
});

test("comparisons of every kind decide as the library does", () => {
  for (const op of ["<", "<=", ">", ">=", "==", "!="])
    for (const threshold of op === "==" || op === "!=" ? ["2", "-2"] : ["2", "2.0", "-2", "2.5"]) {
      // The second one has no comparison at its top that could decide alone.
      const rules = { guarded: `orders ${op} ${threshold}`, plain: `(orders ${op} ${threshold}) == true` };
      const definitions = compiled({ orders }, { ...rules, turned: `${threshold} ${op} orders` });
      const turned = compiled({ orders }, { turned: `(${threshold} ${op} orders) == true` });
      for (const count of [1, 2, 3]) {
        const updates = Array.from({ length: count }, (_, n) => orderOf(n + 1));
        const view = (of: CompiledDefinitions) =>
          calculatedView(apply(EMPTY_PROFILE, updates, LIMITS, START_MS, of).profile, of).audiences;
        const members = view(definitions);
        expect(members.includes("guarded")).toBe(members.includes("plain"));
        expect(members.includes("turned")).toBe(view(turned).includes("turned"));
      }
    }
});

test("the first threshold from a value on", () => {
  const thresholds = Float64Array.of(-1, 2, 2, 5);
  expect([-2, -1, 0, 2, 3, 5, 6].map((value) => firstFrom(thresholds, value))).toEqual([0, 0, 1, 1, 3, 3, 4]);
});

const LIMITS = { horizonMs: 86_400_000, maxSources: 8, maxIds: 8, idMemoryMs: 86_400_000 };

function orderOf(seq: number): Update {
  const atMs = START_MS + seq * 1_000;
  return {
    ...{ v: 1, tenant: "shop", userId: "u", src: "test", seq, stamp: stampAt(atMs), at: atMs },
    ops: [{ kind: "event", body: { name: "order", properties: {} } }],
  };
}
