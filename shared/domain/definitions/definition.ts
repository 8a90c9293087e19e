import Type from "typebox";

/** What a tenant defines, as users write it; docs/definitions.md says what it means. */

/** Words of CEL, its types, and the two names that expressions have beside attributes and audiences. */
const RESERVED =
  "as|bool|break|bytes|cel|const|continue|double|else|event|false|for|function|google|if|import|in|int|let|list|loop|map|math|namespace|now|null|null_type|optional|package|return|string|true|type|uint|var|void|while";

export const NAME_FORM =
  "a lower-case letter, then up to 63 lower-case letters, digits and _; no word or type of CEL, not event or now";

export const DefinitionName = Type.String({
  pattern: `^(?!(?:${RESERVED})$)[a-z][a-z0-9_]{0,63}$`,
  description: NAME_FORM,
});

const MAX_EXPRESSION_LENGTH = 4_096;
const Expression = (description: string) =>
  Type.String({ minLength: 1, maxLength: MAX_EXPRESSION_LENGTH, description });

const forPeople = {
  description: Type.Optional(Type.String({ maxLength: 1_000, description: "for people" })),
  enabled: Type.Optional(Type.Boolean({ default: true, description: "false stops it" })),
};

export const aggregateNames = [
  "count",
  "sum",
  "min",
  "max",
  "average",
  "first",
  "last",
  "distinct",
  "list",
  "set",
  "exists",
  "days_since",
] as const;
export type AggregateName = (typeof aggregateNames)[number];

export const MAX_LIMIT = 100;
export const DEFAULT_LIMIT = 10;

/** An attribute that is aggregated over a user's events. */
export const EventAttribute = Type.Object(
  {
    event: Type.String({ minLength: 1, maxLength: 128, description: "the event's name, exactly" }),
    where: Type.Optional(Expression("CEL over `event`, the event's properties")),
    aggregate: Type.Enum([...aggregateNames]),
    of: Type.Optional(Type.String({ minLength: 1, maxLength: 128, description: "the property" })),
    window: Type.Optional(
      Type.String({
        pattern: "^[1-9][0-9]{0,6}[mhdwy]$",
        description: "a whole number and m, h, d, w or y; from 1m to 10y",
      }),
    ),
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: MAX_LIMIT, description: "of list and set: how many are kept" }),
    ),
    ...forPeople,
  },
  { additionalProperties: false },
);

/** An attribute that is computed from other attributes. */
export const DerivedAttribute = Type.Object(
  { derive: Expression("CEL over other attributes"), ...forPeople },
  { additionalProperties: false },
);

export const Audience = Type.Object(
  { rule: Expression("CEL that gives a bool: who is a member"), ...forPeople },
  { additionalProperties: false },
);

export type EventAttribute = Type.Static<typeof EventAttribute>;
export type DerivedAttribute = Type.Static<typeof DerivedAttribute>;
export type Attribute = EventAttribute | DerivedAttribute;
export type Audience = Type.Static<typeof Audience>;

export type DefinitionKind = "attribute" | "audience";

/** All that a tenant defines, by name. */
export type DefinitionSet = {
  attributes: Record<string, Attribute>;
  audiences: Record<string, Audience>;
};

export const MAX_ATTRIBUTES = 200;
export const MAX_AUDIENCES = 2_000;

/** Of all expressions of a tenant together, in characters: all of them are compiled in one step. */
export const MAX_EXPRESSIONS_LENGTH = 1_000_000;

/** What a definition has in CEL, if anything. */
export function expressionOf(definition: Attribute | Audience): string | undefined {
  if ("rule" in definition) return definition.rule;
  return "derive" in definition ? definition.derive : definition.where;
}

export function isDerived(attribute: Attribute): attribute is DerivedAttribute {
  return "derive" in attribute;
}

export function isEnabled({ enabled }: { enabled?: boolean }): boolean {
  return enabled !== false;
}
