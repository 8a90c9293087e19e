import { Check } from "typebox/value";
import { expect, test } from "vitest";
import { ExplainAnswer } from "../../services/audience-update/admin/explain-schema.ts";
import { compileDefinitions } from "../../shared/domain/definitions/compile.ts";
import { isProblem } from "../../shared/domain/definitions/problem.ts";
import {
  NO_TENANT_DEFINITIONS,
  replaceDefinitions,
} from "../../shared/domain/definitions/tenant-definitions.ts";
import { type Explanation, explain } from "../../shared/domain/explain.ts";
import { explainInWords } from "../../shared/domain/explain-words.ts";
import { type Profile, withoutPending } from "../../shared/domain/profile.ts";
import { startDefinitionServer } from "../support/definition-server.ts";
import { order, profileAfter, type Said, saveProfile } from "../support/stored-profile.ts";

const START_MS = 1_767_225_600_000;
const DAY_MS = 86_400_000;
const set = {
  attributes: {
    orders: { event: "order_completed", aggregate: "count" },
    recent: { event: "order_completed", aggregate: "count", window: "10d" },
    biggest: { event: "order_completed", aggregate: "max", of: "amount" },
    last_order: { event: "order_completed", aggregate: "days_since" },
    latest: { event: "order_completed", aggregate: "last", of: "shoe" },
    share: { derive: "recent * 100 / orders" },
  },
  audiences: {
    active: { rule: "recent > 0 && share >= 50" },
    regulars: { rule: "!(orders < 2) && ('vip' in tags || active)" },
    lapsed: { rule: "last_order >= 30.0" },
    shoes: { rule: "latest.size > 40.0" },
    trial: { rule: "now < timestamp(trial_ends)" },
    wrong: { rule: "orders / 0 > 1" },
    old: { rule: "orders > 0", enabled: false },
  },
};

function setUp(said: Said[] = twoOrders, nowMs = START_MS + DAY_MS, stored?: Profile) {
  const document = replaceDefinitions(NO_TENANT_DEFINITIONS, set, 0);
  if (isProblem(document)) throw new Error(document.message);
  const compiled = compileDefinitions(document);
  if (isProblem(compiled)) throw new Error(compiled.message);
  const profile = stored ?? profileAfter(said, compiled);
  const explained = (audience: string): Explanation => explain(profile, document, compiled, audience, nowMs)!;
  const words = (audience: string) => explainInWords("u", explained(audience));
  return { explained, words, compiled, profile };
}

const twoOrders: Said[] = [
  { at: START_MS, ops: [order({ amount: 10 })] },
  { at: START_MS + DAY_MS, ops: [order({ amount: 20 })] },
];

test("each condition under the connectives says what it gives", () => {
  const { explained } = setUp();
  const { member, gives, conditions } = explained("regulars");
  expect([member, gives]).toEqual([true, { computed: true, value: true }]);
  expect(conditions).toEqual([
    { text: "orders < 2", gives: { computed: true, value: false }, reads: ["orders"], decides: true },
    { text: "'vip' in tags", gives: { computed: true, value: false }, reads: ["tags"], decides: false },
    { text: "active", gives: { computed: true, value: true }, reads: ["active"], decides: true },
  ]);
});

/** Of one rule over `latest` (without a value) and `orders` (2): its conditions, and which of them decide. */
function conditionsOfRule(rule: string) {
  const document = replaceDefinitions(NO_TENANT_DEFINITIONS, { ...set, audiences: { one: { rule } } }, 0);
  if (isProblem(document)) throw new Error(document.message);
  const compiled = compileDefinitions(document);
  if (isProblem(compiled)) throw new Error(compiled.message);
  const profile = profileAfter(twoOrders, compiled);
  return explain(profile, document, compiled, "one", START_MS)!.conditions.map(
    ({ text, gives, decides }) => [text, gives.computed ? gives.value : undefined, decides] as const,
  );
}

test("a condition is in its author's words, and computed with all of its digits", () => {
  expect(conditionsOfRule("(orders + 1) * 2 > 6 || (1.0 / double(orders) < 0.50000000001)")).toEqual([
    ["(orders + 1) * 2 > 6", false, false],
    ["1.0 / double(orders) < 0.50000000001", true, true],
  ]);
  expect(conditionsOfRule("biggest < 1e21 && !(((biggest) < 1e-12))")).toEqual([
    ["biggest < 1e21", true, true],
    ["(biggest) < 1e-12", false, true],
  ]);
});

test.each([
  ["orders > 5 && orders > 6", [true, true]],
  ["orders > 5 && orders > 1", [true, false]],
  ["orders > 1 || latest.size > 40.0", [true, false]],
  ["orders > 5 || latest.size > 40.0", [false, true]],
  ["orders > 1 ? orders > 5 : latest.size > 40.0", [true, true, false]],
  ["latest.size > 40.0 ? orders > 5 : orders > 1", [true, false, false]],
  ["!(orders > 1 && orders > 5)", [false, true]],
])("which conditions decide: %s", (rule, decides) => {
  expect(conditionsOfRule(rule).map(([, , each]) => each)).toEqual(decides);
});

test("the last change has its number, and its moment and cause while the profile has them", () => {
  const { explained, words, profile } = setUp();
  expect(explained("active").lastChange).toEqual({
    ...{ number: 1, atMs: START_MS + DAY_MS },
    cause: { kind: "update", id: "s-2" },
  });
  const announced = withoutPending(profile);
  expect(setUp(twoOrders, START_MS, announced).explained("active").lastChange).toEqual({ number: 1 });
  expect(setUp(twoOrders, START_MS, announced).words("active")[0]).toBe(
    "User u is in active as of 2026-01-02T00:00:00.000Z. The user entered with change number 1.",
  );
  expect(explained("lapsed").lastChange).toBeNull();
  expect(words("lapsed")[0]).toContain("The user never was.");
});

test("names are explained with what they read in turn, and the events behind them", () => {
  const { names } = setUp().explained("regulars");
  expect(names.map(({ name, kind, value }) => [name, kind, value])).toEqual([
    ["orders", "attribute", 2],
    ["tags", "profile", null],
    ["active", "audience", true],
    ["recent", "attribute", 2],
    ["share", "derived", 100],
  ]);
  expect(names.find(({ name }) => name === "recent")!.events).toMatchObject({
    ...{ count: 2, firstAtMs: START_MS, lastAtMs: START_MS + DAY_MS + 21_600_000, bucketMs: 21_600_000 },
    ofThisName: { count: 2, firstAtMs: START_MS, lastAtMs: START_MS + DAY_MS },
  });
});

test("how many events are behind a value is said where the state knows, and left out where not", () => {
  const counted = { count: "", average: "amount", list: "amount" };
  const uncounted = { sum: "amount", min: "amount", max: "amount", distinct: "amount", set: "amount" };
  const others = { first: "amount", last: "amount", exists: "", days_since: "" };
  const aggregates = { ...counted, ...uncounted, ...others };
  const attributes = Object.fromEntries(
    Object.entries(aggregates).map(([aggregate, of]) => [
      `${aggregate}_of`,
      { event: "order_completed", aggregate, ...(of === "" ? {} : { of }) },
    ]),
  );
  const rule = Object.keys(attributes)
    .map((name) => `${name} == ${name}`)
    .join(" && ");
  const document = replaceDefinitions(NO_TENANT_DEFINITIONS, { attributes, audiences: { one: { rule } } }, 0);
  if (isProblem(document)) throw new Error(document.message);
  const compiled = compileDefinitions(document);
  if (isProblem(compiled)) throw new Error(compiled.message);
  const { names } = explain(profileAfter(twoOrders, compiled), document, compiled, "one", START_MS)!;
  const said = names.flatMap(({ name, events }) => ("count" in events! ? [[name, events.count]] : []));
  expect(said).toEqual([
    ["count_of", 2],
    ["average_of", 2],
    ["list_of", 2],
  ]);
  const none = explain(profileAfter([], compiled), document, compiled, "one", START_MS)!.names;
  expect(none.map(({ events }) => events!.count)).toEqual(none.map(() => 0));
});

test("a membership that a window ends says when", () => {
  // The first order's bucket leaves after ten days; half of two is enough, so that the second one's decides.
  expect(setUp().explained("active").byTimeAlone).toEqual({
    ...{ changes: "at", to: "out" },
    atMs: START_MS + DAY_MS + 21_600_000 + 10 * DAY_MS,
  });
});

test("days and timestamps that pass say when, and what time can't change says never", () => {
  const said: Said[] = [
    ...twoOrders,
    { at: START_MS + DAY_MS, ops: [{ kind: "set", body: { trial_ends: "2026-02-01T00:00:00Z" } }] },
  ];
  const { explained } = setUp(said);
  expect(explained("lapsed").byTimeAlone).toEqual({ changes: "at", to: "in", atMs: START_MS + 31 * DAY_MS });
  expect(explained("trial").byTimeAlone).toEqual({
    ...{ changes: "at", to: "out" },
    atMs: Date.parse("2026-02-01T00:00:00Z"),
  });
  expect(explained("shoes").byTimeAlone).toEqual({ changes: "never" });
});

test("what can't be computed says why, and is charged to nobody", () => {
  const { explained, compiled } = setUp();
  expect(explained("shoes").gives).toEqual({ computed: false, why: "latest has no value" });
  const before = structuredClone(compiled.audiences.map(({ cost }) => cost));
  expect(explained("wrong").gives).toMatchObject({ computed: false, why: expect.stringContaining("zero") });
  expect(compiled.audiences.map(({ cost }) => cost)).toEqual(before);
});

test("plain words say all of it", () => {
  const { words } = setUp();
  const text = words("active").join("\n");
  expect(text).toContain(
    "User u is in active since 2026-01-02T00:00:00.000Z, as of 2026-01-02T00:00:00.000Z. The user entered with change number 1 by update s-2.",
  );
  expect(text).toContain("Now it gives true, because recent > 0 is true and share >= 50 is true.");
  expect(text).toContain("- recent > 0: true");
  expect(text).toContain("recent is 2: count over order_completed, the last 10d. 2 events from");
  expect(text).toContain("share is 100: recent * 100 / orders, from recent, orders.");
  expect(text).toContain("By time alone the user is out from 2026-01-12T06:00:00.000Z on.");
  expect(words("old")).toEqual(["The audience old is disabled: nobody is evaluated for it."]);
});

test("over HTTP it fits its schema, and an unknown audience or user is a 404", async () => {
  const shop = await startDefinitionServer();
  const base = "/v1/tenants/shop";
  await shop.call("PUT", `${base}/definitions`, set);
  await saveProfile(shop.store, "u", profileAfter(twoOrders, shop.watch.of("shop")));
  for (const audience of Object.keys(set.audiences)) {
    const { status, body } = await shop.call("GET", `${base}/users/u/explain?audience=${audience}`);
    expect([status, Check(ExplainAnswer, body), audience]).toEqual([200, true, audience]);
  }
  const active = (await shop.call("GET", `${base}/users/u/explain?audience=active`)).body;
  expect(active.words).toContain("The membership follows with the tick that is due.");
  expect(active).toMatchObject({
    since: new Date(START_MS + DAY_MS).toISOString(),
    lastChange: { number: 1, cause: { kind: "update", id: "s-2" } },
  });
  const old = (await shop.call("GET", `${base}/users/u/explain?audience=old`)).body;
  expect([old.since, old.lastChange]).toEqual([undefined, null]);
  const codeOf = async (url: string) => (await shop.call("GET", `${base}/users/${url}`)).body.error.code;
  expect(await codeOf("u/explain?audience=none")).toBe("audience_not_found");
  expect(await codeOf("v/explain?audience=active")).toBe("user_not_found");
  expect(await codeOf("u/explain")).toBe("invalid_request");
  await shop.close();
});
