/** What `GET …/explain` answers. */
import Type from "typebox";
import { Audience } from "../../../shared/domain/definitions/definition.ts";
import { Attribute, Iso, Nullable } from "./definition-schema.ts";
import { asOfFields, ofUser } from "./profile-view.ts";
import { After } from "./user-reads.ts";

const MaybeIso = (description: string) => Nullable(Iso(description));

const Gives = Type.Union(
  [
    Type.Object({ computed: Type.Literal(true), value: Type.Unknown() }),
    Type.Object({ computed: Type.Literal(false), why: Type.String() }),
  ],
  { description: "what it gives now, or why it cannot be computed" },
);

const Events = Type.Object({
  event: Type.String(),
  count: Type.Optional(
    Type.Integer({
      description: "counted in the value; absent, as the next two, where its state does not say",
    }),
  ),
  firstAt: Type.Optional(Iso("the first of them, or the beginning of its bucket")),
  lastAt: Type.Optional(Iso("the last of them, or the end of its bucket")),
  bucketMs: Nullable(Type.Integer({ description: "so exact are the two; null where they are exact" })),
  oldestLeavesAt: MaybeIso("when the first of them leaves the window"),
  ofThisName: Nullable(
    Type.Object({ count: Type.Integer(), firstAt: Iso("the first"), lastAt: Iso("the last") }),
  ),
});

const NameExplained = Type.Object({
  name: Type.String(),
  kind: Type.Union(["attribute", "derived", "audience", "profile"].map((kind) => Type.Literal(kind))),
  value: Type.Unknown({ description: "null where it has none" }),
  definition: Nullable(Type.Union([Attribute, Audience])),
  reads: Type.Array(Type.String()),
  events: Nullable(Events),
  changesAt: MaybeIso("when time alone may change the value; null for never"),
});

const ByTimeAlone = Type.Union(
  [
    Type.Object({
      changes: Type.Literal("at"),
      at: Iso("then"),
      to: Type.Union([Type.Literal("in"), Type.Literal("out")]),
    }),
    Type.Object({ changes: Type.Literal("never") }),
    Type.Object({ changes: Type.Literal("not before"), at: Iso("that far was looked") }),
  ],
  { description: "when the membership changes if no update comes" },
);

const LastChange = Type.Object(
  {
    number: Type.Integer({ description: "odd entered, even left" }),
    cause: Type.Optional(
      Type.Object({
        kind: Type.Union(["update", "time", "definition"].map((kind) => Type.Literal(kind))),
        id: Type.Optional(Type.String()),
      }),
    ),
  },
  {
    description:
      "the user's last one in this audience, its `cause` while `since` is known; null for a user who was never in",
  },
);

export const ExplainAnswer = Type.Object({
  ...ofUser,
  audience: Type.String(),
  member: Type.Boolean({ description: "as the profile has it" }),
  since: Type.Optional(
    Iso("when that began; absent once the user was written again: then the profile keeps its number only"),
  ),
  lastChange: Nullable(LastChange),
  enabled: Type.Boolean(),
  rule: Type.String(),
  gives: Nullable(Gives),
  ...asOfFields,
  explainedVersion: Type.Integer({ description: "of the definitions that this explains" }),
  conditions: Type.Array(
    Type.Object({
      text: Type.String(),
      gives: Gives,
      reads: Type.Array(Type.String()),
      decides: Type.Boolean({ description: "whether the rule gives what it gives because of this" }),
    }),
    { description: "the parts of the rule under &&, ||, ! and ?:" },
  ),
  names: Type.Array(NameExplained, { description: "what the rule reads, and what that reads in turn" }),
  byTimeAlone: ByTimeAlone,
  words: Type.Array(Type.String(), { description: "the same for people, a sentence each" }),
});

export const ExplainQuery = Type.Object(
  { ...After.properties, audience: Type.String({ minLength: 1, description: "its name" }) },
  { additionalProperties: false },
);
