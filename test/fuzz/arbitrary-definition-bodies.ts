/** Bodies of definitions: those that are right by docs/definitions.md, and those that are nearly. */
import fc from "fast-check";
import { arbitraryDefinitions } from "../support/arbitrary-definitions.ts";
import { arbitraryExpression } from "./arbitrary-expressions.ts";

export type Part = "attributes" | "audiences";
export type NamedDefinition = { part: Part; name: string; definition: object };

/** Right whatever a tenant has, in the place of which it comes. */
export const arbitrarySet: fc.Arbitrary<Record<Part, Record<string, object>>> = arbitraryDefinitions;

export const ATTRIBUTE_NAMES = ["orders", "spend", "items", "tier", "constructor"];
export const AUDIENCE_NAMES = ["regulars", "lapsed", "anyone"];

const forPeople = {
  description: fc.constantFrom("why", "", "ä😀", "x".repeat(1_000)),
  enabled: fc.boolean(),
};

const overEvents = fc.record(
  {
    event: fc.constantFrom("buy", "seen", "constructor", "ä", "x".repeat(128)),
    aggregate: fc.constantFrom(
      "count",
      "sum",
      "min",
      "average",
      "first",
      "distinct",
      "list",
      "set",
      "days_since",
    ),
    where: arbitraryExpression,
    of: fc.constantFrom("amount", "item", "__proto__", "constructor", "a b"),
    window: fc.constantFrom("1m", "90d", "10y", "24h", "11y", "1s", "9999999m", "0d", "1.5d", "-1d", "1d "),
    limit: fc.constantFrom(1, 100, 101, 0, 1.5, -1),
    ...forPeople,
  },
  { requiredKeys: ["event", "aggregate"] },
);
const derived = fc.record({ derive: arbitraryExpression, ...forPeople }, { requiredKeys: ["derive"] });
const audience = fc.record({ rule: arbitraryExpression, ...forPeople }, { requiredKeys: ["rule"] });

const named = (part: Part, names: readonly string[], definition: fc.Arbitrary<object>) =>
  fc
    .record({ name: fc.constantFrom(...names), definition })
    .map((each): NamedDefinition => ({ part, ...each }));

export const arbitraryDefinition: fc.Arbitrary<NamedDefinition> = fc.oneof(
  { arbitrary: named("attributes", ATTRIBUTE_NAMES, overEvents), weight: 3 },
  { arbitrary: named("attributes", ATTRIBUTE_NAMES, derived), weight: 2 },
  { arbitrary: named("audiences", AUDIENCE_NAMES, audience), weight: 4 },
  {
    arbitrary: fc.tuple(arbitrarySet, fc.nat()).map(([set, index]) => {
      const all = (["attributes", "audiences"] as const).flatMap((part) =>
        Object.entries(set[part]).map(([name, definition]) => ({ part, name, definition })),
      );
      return all[index % all.length]!;
    }),
    weight: 2,
  },
);

const withinSet = fc.oneof(
  { arbitrary: arbitrarySet, weight: 4 },
  fc.array(arbitraryDefinition, { maxLength: 5 }).map((definitions) => {
    const set: Record<Part, Record<string, object>> = { attributes: {}, audiences: {} };
    for (const { part, name, definition } of definitions) set[part][name] = definition;
    return set;
  }),
);

/** As many as a tenant may have and one more, each of the shortest: more of them would take long to compile. */
const crowdedSet = fc.constantFrom(200, 201).map((count) => ({
  attributes: Object.fromEntries(
    Array.from({ length: count }, (_, index) => [`a${index}`, { event: "buy", aggregate: "count" }]),
  ),
  audiences: {},
}));

/** Half-valid ones as well. */
export const arbitraryWholeSet: fc.Arbitrary<object> = fc.oneof(
  { arbitrary: withinSet as fc.Arbitrary<object>, weight: 100 },
  { arbitrary: crowdedSet, weight: 1 },
);
