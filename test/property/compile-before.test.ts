import fc from "fast-check";
import { expect, test } from "vitest";
import { apply } from "../../shared/domain/apply.ts";
import { calculatedView } from "../../shared/domain/calculated-view.ts";
import { type CompiledDefinitions, compileDefinitions } from "../../shared/domain/definitions/compile.ts";
import { isProblem } from "../../shared/domain/definitions/problem.ts";
import {
  NO_TENANT_DEFINITIONS,
  replaceDefinitions,
} from "../../shared/domain/definitions/tenant-definitions.ts";
import type { Update } from "../../shared/domain/envelope.ts";
import { EMPTY_PROFILE } from "../../shared/domain/profile.ts";
import { arbitraryDefinitions } from "../support/arbitrary-definitions.ts";
import { arbitraryHistory } from "../support/arbitrary-history.ts";
import { START_MS } from "../support/arbitrary-updates.ts";

type Definition = Record<string, unknown>;
type Input = { attributes: Record<string, Definition>; audiences: Record<string, Definition> };
type Edit = (input: Input) => Input;

const DAY = 86_400_000;
const limits = { horizonMs: 36_500 * DAY, maxSources: 128, maxIds: 32, idMemoryMs: DAY };

/** Names of the profile's own, of calculated attributes, and of derived ones, which meet those of the pools. */
const name = fc.constantFrom(
  "plan",
  "points",
  "tags",
  "orders",
  "spend",
  "items",
  "first_item",
  "ratio",
  "tier",
);
const otherAttribute: fc.Arbitrary<Definition> = fc.constantFrom<Definition>(
  { event: "buy", aggregate: "count" },
  { event: "buy", aggregate: "sum", of: "amount", where: "event.amount > 0" },
  { event: "buy", aggregate: "last", of: "item" },
  { event: "view", aggregate: "list", of: "item" },
  { event: "buy", aggregate: "days_since" },
  { derive: "points * 2.0" },
  { derive: "plan" },
  { derive: "size(tags) > 1 ? 'many' : 'few'" },
);

const edit: fc.Arbitrary<Edit> = fc.oneof(
  // Another whole set.
  arbitraryDefinitions.map((set) => () => set as unknown as Input),
  // The set again with some of another: what is read may be there no more, or be of another type.
  fc.tuple(arbitraryDefinitions, fc.boolean()).map(([other, which]) => (input: Input) => {
    const set = other as unknown as Input;
    return which ? { ...input, attributes: set.attributes } : { ...input, audiences: set.audiences };
  }),
  fc.tuple(name, otherAttribute).map(([name, definition]) => (input: Input) => {
    return { ...input, attributes: { ...input.attributes, [name]: definition } };
  }),
  fc
    .tuple(name, fc.constantFrom("true", "orders > 1", "'vip' in tags", "plan == 'pro' && !lapsed"))
    .map(([name, rule]) => ({ attributes, audiences }: Input) => {
      const { [name]: _, ...others } = attributes;
      return { attributes: others, audiences: { ...audiences, [name]: { rule } } };
    }),
  name.map((gone) => ({ attributes, audiences }: Input) => {
    const without = (all: Record<string, Definition>) =>
      Object.fromEntries(Object.entries(all).filter(([name]) => name !== gone));
    return { attributes: without(attributes), audiences: without(audiences) };
  }),
  fc.tuple(fc.nat(), fc.boolean()).map(([at, enabled]) => ({ attributes, audiences }: Input) => {
    const switched = (all: Record<string, Definition>) => {
      const names = Object.keys(all);
      const name = names[at % names.length];
      return name === undefined ? all : { ...all, [name]: { ...all[name], enabled } };
    };
    return at % 2 === 0
      ? { attributes: switched(attributes), audiences }
      : { attributes, audiences: switched(audiences) };
  }),
);

/** All that can be seen of definitions without a user. */
function shapeOf({ attributes, audiences, byEvent, byField, ...rest }: CompiledDefinitions) {
  const { byTime, byNow, attributeAt, audienceAt } = rest;
  return {
    attributes: attributes.map(({ name, type, ticks, dependents, derive }) => {
      return {
        name,
        type,
        ticks,
        dependents,
        derive: derive?.text,
        lists: derive?.lists,
        reads: derive?.reads,
      };
    }),
    audiences: audiences.map(({ name, rule, dependents, nowComparisons }) => {
      const { text, type, lists, reads, usesNow } = rule;
      return { name, dependents, text, type, lists, reads, usesNow, flips: nowComparisons.length };
    }),
    byEvent: [...byEvent].map(([name, groups]) => [
      name,
      groups.map(({ where, attributes }) => [where?.text, attributes]),
    ]),
    ...{ byField, byTime, byNow, attributeAt, audienceAt },
  };
}

const failuresOf = ({ attributes, audiences }: CompiledDefinitions) =>
  [...attributes, ...audiences].map(({ name, cost }) => ({ name, failures: cost.failures }));

/** What a user's updates come to, with when time alone changes it, and how often something failed. */
function outcomeOf(definitions: CompiledDefinitions, updates: readonly Update[]) {
  const before = failuresOf(definitions);
  const { profile } = apply(EMPTY_PROFILE, updates, limits, START_MS, definitions);
  const failures = failuresOf(definitions).map(({ name, failures }, at) => [
    name,
    failures - before[at]!.failures,
  ]);
  return { profile, view: calculatedView(profile, definitions), failures };
}

test("definitions that are compiled with those before do what they do compiled from nothing", () => {
  fc.assert(
    fc.property(fc.array(edit, { minLength: 2, maxLength: 8 }), arbitraryHistory, (edits, updates) => {
      let input: Input = { attributes: {}, audiences: {} };
      let document = NO_TENANT_DEFINITIONS;
      let before: CompiledDefinitions | undefined;
      for (const edit of edits) {
        const next = edit(input);
        const replaced = replaceDefinitions(document, next, START_MS);
        if (isProblem(replaced)) continue;
        const fresh = compileDefinitions(replaced);
        const again = compileDefinitions(replaced, { before });
        if (isProblem(fresh) || isProblem(again)) {
          expect(again).toEqual(fresh);
          continue;
        }
        const earlier = before && outcomeOf(before, updates);
        expect(shapeOf(again)).toEqual(shapeOf(fresh));
        expect(outcomeOf(again, updates)).toEqual(outcomeOf(fresh, updates));
        // What was compiled before is still in use until the new ones are taken up.
        if (before) expect(outcomeOf(before, updates)).toEqual(earlier);
        [input, document, before] = [next, replaced, again];
      }
    }),
    { numRuns: 300 },
  );
});

test("a change of one definition parses that one only", () => {
  const rules = (text: string) => ({
    attributes: {
      orders: { event: "buy", aggregate: "count", where: "event.amount > 0" },
      often: { derive: "orders > 3" },
    },
    audiences: {
      regulars: { rule: "often && plan == 'pro'" },
      trial: { rule: "now < timestamp(trial_ends) && orders == 0" },
      other: { rule: text },
    },
  });
  const first = replaceDefinitions(NO_TENANT_DEFINITIONS, rules("orders > 1"), START_MS);
  if (isProblem(first)) throw new Error(first.message);
  const before = compileDefinitions(first) as CompiledDefinitions;
  const second = replaceDefinitions(first, rules("orders > 2"), START_MS);
  if (isProblem(second)) throw new Error(second.message);
  const after = compileDefinitions(second, { before }) as CompiledDefinitions;
  const expressions = ({ attributes, audiences, byEvent }: CompiledDefinitions) => [
    ...attributes.flatMap(({ derive }) => derive ?? []),
    ...audiences.map(({ rule }) => rule),
    ...[...byEvent.values()].flatMap((groups) => groups.flatMap(({ where }) => where ?? [])),
  ];
  const known = new Set(expressions(before));
  expect(expressions(after).filter((expression) => !known.has(expression))).toEqual([
    expect.objectContaining({ text: "orders > 2" }),
  ]);
});
