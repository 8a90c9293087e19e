import fc from "fast-check";
import type { AggregateInput, AttributeInput, AudienceInput, DefinitionsInput } from "./recompute.ts";

/**
 * Definitions that are valid by docs/definitions.md. Names and values come from small pools, those of
 * arbitrary-history.ts, so that they meet.
 */

/** The names that an expression may read, by their types. */
type Scope = Record<"int" | "double" | "bool" | "string" | "list" | "dyn" | "audience", string[]>;
/** An expression once it is known which names there are. */
type Draft = (scope: Scope) => string;

const nat = fc.nat({ max: 9 });
const comparison = fc.constantFrom(">=", ">", "<", "<=");
const equality = fc.constantFrom("==", "!=");
const moment = fc.constantFrom("timestamp(trial_ends)", "timestamp('2026-02-01T00:00:00Z')");
const span = fc.constantFrom("duration('24h')", "duration('1h')", "duration('1080h')", "duration('-72h')");
const text = fc.constantFrom("'book'", "'pro'", "'gold'", "''");
/** The profile's own attributes of which the type is not pinned by the checks of CEL. */
const ownDyn = ["plan", "constructor"];

const picked = (names: string[], index: number, otherwise: string) =>
  names.length === 0 ? otherwise : names[index % names.length]!;

const intDraft: fc.Arbitrary<Draft> = fc.oneof(
  {
    arbitrary: nat.map(
      (i) =>
        ({ int }: Scope) =>
          picked(int, i, "2"),
    ),
    weight: 4,
  },
  nat.map(
    (i) =>
      ({ list }: Scope) =>
        `size(${picked(list, i, "['x']")})`,
  ),
  fc.tuple(nat, nat, fc.constantFrom("+", "-", "*", "/", "%")).map(([i, j, sign]) => ({ int }: Scope) => {
    return `(${picked(int, i, "7")} ${sign} ${picked(int, j, "3")})`;
  }),
);

const doubleDraft: fc.Arbitrary<Draft> = fc.oneof(
  {
    arbitrary: nat.map(
      (i) =>
        ({ double }: Scope) =>
          picked(double, i, "2.5"),
    ),
    weight: 4,
  },
  nat.map(
    (i) =>
      ({ int }: Scope) =>
        `double(${picked(int, i, "2")})`,
  ),
  fc.tuple(nat, intDraft).map(([i, divisor]) => (scope: Scope) => {
    return `(${picked(scope.double, i, "9.5")} / double(${divisor(scope)}))`;
  }),
  fc.tuple(nat, nat, fc.constantFrom("+", "-", "*")).map(([i, j, sign]) => ({ double }: Scope) => {
    return `(${picked(double, i, "9.5")} ${sign} ${picked(double, j, "0.5")})`;
  }),
  fc.constant(() => "(points * 2.0)"),
);

const dynDraft: fc.Arbitrary<Draft> = nat.map(
  (i) =>
    ({ dyn }: Scope) =>
      picked([...dyn, ...ownDyn], i, "plan"),
);

const plainCondition: fc.Arbitrary<Draft> = fc.oneof(
  fc.tuple(intDraft, fc.oneof(comparison, equality), fc.nat({ max: 4 })).map(([int, sign, bound]) => {
    return (scope: Scope) => `${int(scope)} ${sign} ${bound}`;
  }),
  fc.tuple(doubleDraft, comparison, fc.constantFrom("0", "1", "30.0", "2.5", "60")).map(
    ([double, sign, bound]) =>
      (scope: Scope) =>
        `${double(scope)} ${sign} ${bound}`,
  ),
  fc.tuple(doubleDraft, equality, fc.constantFrom("0.0", "1.0", "10.0")).map(([double, sign, other]) => {
    return (scope: Scope) => `${double(scope)} ${sign} ${other}`;
  }),
  fc.tuple(doubleDraft, comparison, intDraft).map(([double, sign, int]) => {
    return (scope: Scope) => `${double(scope)} ${sign} ${int(scope)}`;
  }),
  nat.map(
    (i) =>
      ({ bool }: Scope) =>
        picked(bool, i, "(plan == 'pro')"),
  ),
  fc.tuple(nat, equality, text).map(([i, sign, other]) => ({ string }: Scope) => {
    return `${picked(string, i, "plan")} ${sign} ${other}`;
  }),
  nat.map(
    (i) =>
      ({ string }: Scope) =>
        `${picked(string, i, "plan")}.startsWith('g')`,
  ),
  fc.tuple(nat, fc.constantFrom("'book'", "1", "29.33")).map(([i, member]) => ({ list }: Scope) => {
    return `${member} in ${picked(list, i, "tags")}`;
  }),
  nat.map(
    (i) =>
      ({ list }: Scope) =>
        `${picked(list, i, "['x']")}.exists(i, i == 'book')`,
  ),
  fc.tuple(dynDraft, equality, text).map(
    ([dyn, sign, other]) =>
      (scope: Scope) =>
        `${dyn(scope)} ${sign} ${other}`,
  ),
  fc.tuple(dynDraft, dynDraft, equality).map(
    ([one, other, sign]) =>
      (scope: Scope) =>
        `${one(scope)} ${sign} ${other(scope)}`,
  ),
  dynDraft.map((dyn) => (scope: Scope) => `${dyn(scope)} in ['book', 'pro', 'cd']`),
  fc.constantFrom("points >= 10", "points == 5", "plan == 'pro'", "plan != 'pro'").map((rule) => () => rule),
  { arbitrary: fc.constantFrom("'vip' in tags", "!('vip' in tags)").map((rule) => () => rule), weight: 2 },
);

/** Those of which the result may change by time alone, without any window. */
const timeCondition: fc.Arbitrary<Draft> = fc.oneof(
  fc.tuple(moment, comparison, span).map(
    ([at, sign, by]) =>
      () =>
        `now - ${at} ${sign} ${by}`,
  ),
  fc.tuple(moment, comparison).map(
    ([at, sign]) =>
      () =>
        `now ${sign} ${at}`,
  ),
  fc.tuple(moment, comparison, span).map(
    ([at, sign, by]) =>
      () =>
        `now ${sign} ${at} + ${by}`,
  ),
  fc.tuple(moment, comparison, span).map(
    ([at, sign, by]) =>
      () =>
        `${at} ${sign} now + ${by}`,
  ),
  fc.tuple(moment, comparison, span).map(
    ([at, sign, by]) =>
      () =>
        `now - ${by} ${sign} ${at}`,
  ),
  fc.tuple(moment, comparison, nat).map(([at, sign, i]) => ({ int }: Scope) => {
    return `now - ${at} ${sign} (${picked(int, i, "1")} > 2 ? duration('1h') : duration('240h'))`;
  }),
);

const audienceCondition: fc.Arbitrary<Draft> = fc.tuple(nat, fc.boolean()).map(
  ([i, not]) =>
    ({ audience }: Scope) =>
      `${not ? "!" : ""}${picked(audience, i, "true")}`,
);

function condition(leaf: fc.Arbitrary<Draft>, depth: number): fc.Arbitrary<Draft> {
  if (depth === 0) return leaf;
  const inner = condition(leaf, depth - 1);
  return fc.oneof(
    { arbitrary: leaf, weight: 3 },
    fc.tuple(inner, fc.constantFrom("&&", "||"), inner).map(([left, sign, right]) => {
      return (scope: Scope) => `(${left(scope)} ${sign} ${right(scope)})`;
    }),
    inner.map((negated) => (scope: Scope) => `!(${negated(scope)})`),
    fc.tuple(inner, inner, inner).map(([if_, then, else_]) => {
      return (scope: Scope) => `(${if_(scope)} ? ${then(scope)} : ${else_(scope)})`;
    }),
  );
}

const ruleDraft = condition(
  fc.oneof(
    { arbitrary: plainCondition, weight: 5 },
    { arbitrary: timeCondition, weight: 2 },
    { arbitrary: audienceCondition, weight: 1 },
  ),
  2,
);

type DerivedType = "int" | "double" | "bool" | "string" | "dyn";
const choice = (branch: fc.Arbitrary<Draft>): fc.Arbitrary<Draft> =>
  fc.tuple(plainCondition, branch, branch).map(([if_, then, else_]) => {
    return (scope: Scope) => `${if_(scope)} ? ${then(scope)} : ${else_(scope)}`;
  });
const derivedDraft: fc.Arbitrary<{ type: DerivedType; draft: Draft }> = fc.oneof(
  fc.oneof(intDraft, choice(intDraft)).map((draft) => ({ type: "int" as const, draft })),
  fc.oneof(doubleDraft, choice(doubleDraft)).map((draft) => ({ type: "double" as const, draft })),
  condition(plainCondition, 1).map((draft) => ({ type: "bool" as const, draft })),
  fc
    .oneof(
      choice(text.map((literal) => () => literal)),
      intDraft.map((int) => (scope: Scope) => `string(${int(scope)})`),
    )
    .map((draft) => ({ type: "string" as const, draft })),
  fc.oneof(dynDraft, choice(dynDraft)).map((draft) => ({ type: "dyn" as const, draft })),
);

const where = fc.constantFrom(
  ...["event.amount > 0", "event.amount >= 10.0 && event.item != 'cd'", "event.item == 'book'"],
  ...["has(event.coupon)", "!has(event.coupon)", "event.item.startsWith('b')", "event.amount * 2.0 > 5.0"],
  ...["event.amount > 10 || event.item == 'book'", "'a' in event.labels", "event['amount'] == 1"],
  "event.labels.exists(label, label == 'a')",
);
/** Some hold a hundred buckets of their size exactly, some one too many. */
const windows = fc.constantFrom(
  ...["1m", "100m", "90m", "1h", "24h", "25h", "36h", "7d", "30d", "90d", "101d", "2w", "1y", "2y", "10y"],
);
/** Longer ones have no size that the document allows for `distinct`. */
const distinctWindows = fc.constantFrom("1m", "16m", "1h", "24h", "7d", "16d", "17d", "30d", "90d", "1y");
const limit = fc.constantFrom(1, 2, 3, 10, 100);
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 2 });

const aggregateOf = (aggregate: AggregateInput["aggregate"]): fc.Arbitrary<AggregateInput> => {
  const numeric = /^(sum|min|max|average)$/.test(aggregate);
  const property = numeric
    ? fc.constantFrom("amount", "amount", "item")
    : fc.constantFrom("item", "item", "amount", "labels", "until", "constructor");
  const none = fc.constant(undefined);
  return fc
    .record({
      event: fc.constantFrom("buy", "buy", "view"),
      where: maybe(where),
      aggregate: fc.constant(aggregate),
      of: /^(count|exists|days_since)$/.test(aggregate) ? none : property,
      window: aggregate === "days_since" ? none : maybe(aggregate === "distinct" ? distinctWindows : windows),
      limit: /^(list|set)$/.test(aggregate) ? maybe(limit) : none,
    })
    .map(withoutUndefined);
};

function withoutUndefined<T extends object>(record: T) {
  return Object.fromEntries(
    Object.entries(record).filter(([, value]) => value !== undefined),
  ) as unknown as AggregateInput;
}

/** Each aggregate under names of its own: what type a name has can be seen in a counterexample. */
const calculated: fc.Arbitrary<[string, AggregateInput]> = fc.oneof(
  ...(
    [
      ["count", "orders", "views"],
      ["sum", "spend", "total"],
      ["min", "smallest"],
      ["max", "largest"],
      ["average", "basket"],
      ["first", "first_item"],
      ["last", "last_item", "constructor"],
      ["distinct", "kinds"],
      ["list", "items"],
      ["set", "titles"],
      ["exists", "bought"],
      ["days_since", "recency"],
    ] as const
  ).map(([aggregate, ...names]) => fc.tuple(fc.constantFrom<string[]>(...names), aggregateOf(aggregate))),
);

const kindOf: Record<AggregateInput["aggregate"], keyof Scope> = {
  ...({ count: "int", sum: "double", min: "double", max: "double", average: "double" } as const),
  ...({ first: "dyn", last: "dyn", distinct: "int", list: "list", set: "list", exists: "bool" } as const),
  days_since: "double",
};

export const arbitraryDefinitions: fc.Arbitrary<DefinitionsInput> = fc
  .record({
    calculated: fc.uniqueArray(calculated, { selector: ([name]) => name, minLength: 2, maxLength: 8 }),
    derived: fc.array(derivedDraft, { maxLength: 3 }),
    rules: fc.array(ruleDraft, { minLength: 1, maxLength: 4 }),
    /** What is defined first need not be what others read. */
    backwards: fc.boolean(),
  })
  .map(({ calculated, derived, rules, backwards }) => {
    const scope: Scope = { int: [], double: [], bool: [], string: [], list: [], dyn: [], audience: [] };
    const attributes: [string, AttributeInput][] = [];
    for (const [name, definition] of calculated) {
      attributes.push([name, definition]);
      scope[kindOf[definition.aggregate]].push(name);
    }
    for (const [i, { type, draft }] of derived.entries()) {
      const name = ["ratio", "tier", "score"][i]!;
      attributes.push([name, { derive: draft(scope) }]);
      scope[type].unshift(name);
    }
    const audiences: [string, AudienceInput][] = [];
    for (const [i, draft] of rules.entries()) {
      const name = ["regulars", "lapsed", "big_spenders", "anyone"][i]!;
      audiences.push([name, { rule: draft(scope) }]);
      scope.audience.unshift(name);
    }
    const order = <T>(entries: [string, T][]) => Object.fromEntries(backwards ? entries.reverse() : entries);
    return { attributes: order(attributes), audiences: order(audiences) };
  });
