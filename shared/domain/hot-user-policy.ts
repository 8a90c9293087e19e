import Type from "typebox";

/** What a tenant wants for its users who have more updates than anyone can use. */
export const HotUserPolicy = Type.Object(
  {
    updatesPerSecond: Type.Integer({ minimum: 1, maximum: 1_000_000, description: "of one user" }),
    over: Type.Enum(["fold", "sample", "skip", "park"], {
      description:
        "what becomes of a user's further updates in that second: fold applies all of them, sample one of `oneIn`, skip none; park puts them into the dead-letter topic. Skipped ones are seen and nothing of them applied; they stay in the ledger",
    }),
    oneIn: Type.Optional(
      Type.Integer({ minimum: 2, maximum: 1_000_000, description: "for sample; 10 by default" }),
    ),
  },
  { additionalProperties: false },
);
export type HotUserPolicy = Type.Static<typeof HotUserPolicy>;
